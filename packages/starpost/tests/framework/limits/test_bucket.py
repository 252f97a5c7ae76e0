import pytest

from starpost.limits import Bucket

NOW = 1_000_000.0


def test_a_burst_of_twice_the_rate_then_the_rate() -> None:
    bucket = Bucket(5)
    assert [bucket.take(NOW) for _ in range(10)] == [0.0] * 10
    assert bucket.take(NOW) == pytest.approx(0.2)
    assert bucket.take(NOW + 0.2) == 0.0
    assert bucket.take(NOW + 0.2) == pytest.approx(0.2)
    assert [bucket.take(NOW + 1000) > 0 for _ in range(11)] == [False] * 10 + [True]


def test_all_or_nothing() -> None:
    bucket = Bucket(5)
    assert bucket.take(NOW, 7) == 0.0
    assert bucket.take(NOW, 4) == pytest.approx(0.2)
    assert bucket.left(NOW) == 3
    assert bucket.take(NOW, 3) == 0.0
    assert bucket.left(NOW) == 0


def test_no_limit() -> None:
    bucket = Bucket(0)
    assert not any(bucket.take(NOW, 1000) for _ in range(1000))


@pytest.mark.parametrize("rate", [1, 3, 7, 1000, 12_345])
def test_no_token_of_a_burst_is_lost_to_rounding(rate: int) -> None:
    bucket = Bucket(rate)
    assert sum(not bucket.take(NOW) for _ in range(3 * rate)) == 2 * rate
