"""Back-off: how many failures, how long a pause."""

import asyncio

import pytest

from starpost import backoff
from starpost.backoff import Backoff


def at_most(_low: float, high: float) -> float:
    return high


def at_least(low: float, _high: float) -> float:
    return low


def test_pauses_double_up_to_the_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "uniform", at_most)
    waiting = Backoff(first=0.5, longest=3)
    assert [waiting.fail() for _ in range(5)] == [0.5, 1, 2, 3, 3]
    assert waiting.failures == 5


def test_half_of_a_pause_is_random(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "uniform", at_least)
    waiting = Backoff(first=0.5, longest=3)
    assert [waiting.fail() for _ in range(4)] == [0.25, 0.5, 1, 1.5]
    monkeypatch.undo()
    drawn = [Backoff(first=1).fail() for _ in range(200)]
    assert len(set(drawn)) > 100
    assert all(0.5 <= seconds <= 1 for seconds in drawn)


def test_the_bound_is_that_of_the_next_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "uniform", at_most)
    waiting = Backoff(first=1, longest=3)
    for _ in range(4):
        bound = waiting.bound
        assert waiting.bound == bound == waiting.fail()


def test_a_success_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "uniform", at_most)
    waiting = Backoff(first=1, longest=60)
    waiting.fail()
    waiting.fail()
    waiting.reset()
    assert waiting.failures == 0
    assert waiting.fail() == 1


def test_a_loop_that_fails_for_days_does_not_overflow() -> None:
    waiting = Backoff()
    for _ in range(3000):
        assert 0 < waiting.fail() <= backoff.LONGEST_PAUSE


async def test_a_pause_waits_as_long_as_it_was_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(backoff, "uniform", at_most)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    waiting = Backoff(first=1, longest=3)
    for _ in range(3):
        await waiting.pause()
    assert slept == [1, 2, 3]
    assert waiting.failures == 3
