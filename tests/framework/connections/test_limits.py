from app.framework.connections.limits import RateLimit


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_of_twice_the_rate_then_the_rate() -> None:
    clock = Clock()
    limit = RateLimit(5, clock)
    assert [limit.retry_after() for _ in range(10)] == [0.0] * 10
    assert limit.retry_after() == 0.2
    clock.now += 0.2
    assert limit.retry_after() == 0.0
    assert limit.retry_after() == 0.2
    clock.now += 1000
    assert [limit.retry_after() for _ in range(11)] == [0.0] * 10 + [0.2]


def test_a_batch_takes_all_or_nothing() -> None:
    clock = Clock()
    limit = RateLimit(5, clock)
    assert limit.take(10)
    assert not limit.take(1)
    clock.now += 1.0
    assert not limit.take(6)
    assert [limit.retry_after() for _ in range(6)] == [0.0] * 5 + [0.2]


def test_time_in_which_the_bucket_was_full_fills_nothing() -> None:
    clock = Clock()
    limit = RateLimit(5, clock)
    clock.now += 1000.0
    assert [limit.retry_after() for _ in range(11)] == [0.0] * 10 + [0.2]


def test_refusals_in_a_row_end_with_what_was_taken() -> None:
    clock = Clock()
    limit = RateLimit(1, clock)
    assert limit.take(2)
    assert [limit.retry_after() > 0 for _ in range(3)] == [True] * 3
    assert limit.refused_in_a_row == 3
    clock.now += 1.0
    assert limit.retry_after() == 0.0
    assert limit.refused_in_a_row == 0


def test_no_limit() -> None:
    limit = RateLimit(0, Clock())
    assert all(limit.take(1000) for _ in range(1000))
    assert limit.retry_after() == 0.0
