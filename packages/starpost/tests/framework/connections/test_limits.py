from starpost.connections.limits import UNIT, PacketRate, cost_of
from starpost.limits import UserBudgets
from tests.framework.limits.clock import Clock


def test_a_socket_has_its_rate_and_its_user_another() -> None:
    clock = Clock()
    users = UserBudgets(10, clock=clock)
    first, second = PacketRate(5, clock), PacketRate(15, clock)
    for rate in (first, second):
        rate.belong_to(users.of("alice"))
    assert [first.take() > 0 for _ in range(11)] == [False] * 10 + [True], "its own is gone"
    assert [second.take() > 0 for _ in range(11)] == [False] * 10 + [True], "the user's is gone"
    clock.now += 1.0
    assert [first.take() > 0 for _ in range(6)] == [False] * 5 + [True]
    assert [second.take() > 0 for _ in range(6)] == [False] * 5 + [True]


def test_what_the_user_is_refused_is_not_charged_to_the_socket() -> None:
    clock = Clock()
    users = UserBudgets(1, clock=clock)
    rate = PacketRate(2, clock)
    rate.belong_to(users.of("alice"))
    assert [rate.take() > 0 for _ in range(10)] == [False] * 2 + [True] * 8
    rate.belong_to(None)
    assert [rate.take() > 0 for _ in range(3)] == [False] * 2 + [True]


def test_a_budget_knows_its_sockets() -> None:
    users = UserBudgets(1, clock=Clock())
    alice, bob = users.of("alice"), users.of("bob")
    rate = PacketRate(1, Clock())
    rate.belong_to(alice)
    assert (alice.holders, bob.holders) == (1, 0)
    rate.belong_to(alice)
    assert alice.holders == 1
    rate.belong_to(bob)
    assert (alice.holders, bob.holders) == (0, 1)
    rate.belong_to(None)
    rate.belong_to(None)
    assert (alice.holders, bob.holders) == (0, 0)


def test_who_is_deaf() -> None:
    clock = Clock()
    rate = PacketRate(5, clock)
    assert [rate.is_deaf() for _ in range(5)] == [False] * 4 + [True]


def test_one_large_frame_makes_nobody_deaf() -> None:
    rate = PacketRate(1, Clock())
    assert [rate.is_deaf(256) for _ in range(4)] == [False] * 3 + [True]


def test_who_is_refused_now_and_then_is_not() -> None:
    clock = Clock()
    rate = PacketRate(5, clock)
    for _ in range(100):
        assert not rate.is_deaf()
        clock.now += 0.2


def test_a_flood_is_deaf_although_some_of_it_passes() -> None:
    clock = Clock()
    rate = PacketRate(10, clock)
    sent = 0
    while not (rate.take() and rate.is_deaf()):
        sent += 1
        clock.now += 0.025
    assert 20 < sent < 150


def test_nobody_is_deaf_without_a_limit() -> None:
    rate = PacketRate(0, Clock())
    assert not any(rate.take(1000) for _ in range(1000))
    assert not any(rate.is_deaf() for _ in range(1000))


def test_the_burst_is_that_of_the_slower() -> None:
    clock = Clock()
    rate = PacketRate(5, clock)
    assert rate.burst == 10
    rate.belong_to(UserBudgets(2, clock=clock).of("alice"))
    assert rate.burst == 4
    assert rate.take(5) > 0
    assert rate.take(4) == 0
    assert PacketRate(0, clock).burst > 1_000_000


def test_the_cost_of_a_frame() -> None:
    sizes = [0, 1, UNIT, UNIT + 1, 2 * UNIT, 2 * UNIT + 1, 1_048_576]
    assert [cost_of(b"x" * size) for size in sizes] == [1, 1, 1, 2, 2, 3, 256]
