from starpost.limits import UserBudgets
from starpost.limits.users import FORGET_ABOVE
from tests.framework.limits.clock import Clock


def test_users_do_not_share() -> None:
    users = UserBudgets(1, clock=Clock())
    assert [users.of("a").take(100.0) > 0 for _ in range(3)] == [False, False, True]
    assert users.of("b").take(100.0) == 0.0
    assert users.of("a") is users.of("a")


def test_who_has_a_full_budget_and_no_socket_is_forgotten() -> None:
    clock = Clock()
    users = UserBudgets(1, clock=clock)
    held, spent = users.of("held"), users.of("spent")
    held.holders += 1
    for number in range(FORGET_ABOVE - 2):
        users.of(str(number)).take(clock.now)
    clock.now += 1.5
    spent.take(clock.now)
    assert len(users) == FORGET_ABOVE
    users.of("one more")
    assert len(users) == 3
    assert users.of("held") is held
    assert users.of("spent") is spent, "a reconnect must not find a full budget"


def test_memory_is_bounded_by_those_who_spend() -> None:
    clock = Clock()
    users = UserBudgets(1000, clock=clock)
    most = 0
    for number in range(50_000):
        users.of(str(number)).take(clock.now)
        clock.now += 0.001
        most = max(most, len(users))
    assert most <= FORGET_ABOVE


def test_looking_for_them_stays_cheap_while_nobody_can_be_forgotten() -> None:
    clock = Clock()
    users = UserBudgets(1, clock=clock)
    before = users._forget
    looks = 0

    def counting() -> None:
        nonlocal looks
        looks += 1
        before()

    users._forget = counting  # type: ignore[method-assign]
    for number in range(20_000):
        users.of(str(number)).take(clock.now)
    assert len(users) == 20_000
    assert looks <= 6
