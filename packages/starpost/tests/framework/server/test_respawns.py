"""When a worker that ended is started again."""

import pytest

from starpost.server.respawns import (
    KILLED_STARTS,
    LONGEST_DELAY,
    REFUSED_DELAY,
    REFUSED_STARTS,
    STEADY,
    Respawns,
)


def delays(respawns: Respawns, count: int, *, served: bool, killed: bool = True, lived: float = 1.0) -> list[float]:
    return [respawns.ended(0, served=served, killed=killed, lived=lived, now=0) for _ in range(count)]


def test_a_worker_that_served_is_started_at_once_and_then_with_back_off() -> None:
    assert delays(Respawns(1), 7, served=True) == [
        0,
        0.5,
        1,
        LONGEST_DELAY,
        LONGEST_DELAY,
        LONGEST_DELAY,
        LONGEST_DELAY,
    ]
    assert delays(Respawns(1), 7, served=False) == [
        0,
        0.5,
        1,
        LONGEST_DELAY,
        LONGEST_DELAY,
        LONGEST_DELAY,
        LONGEST_DELAY,
    ]


def test_one_that_refuses_to_start_waits_longer() -> None:
    assert delays(Respawns(1), 9, served=False, killed=False) == [0, 0.5, 1, 2, 4, 8, 16, REFUSED_DELAY, REFUSED_DELAY]
    assert delays(Respawns(1), 5_000, served=False, killed=False)[-1] == REFUSED_DELAY


def test_a_long_life_begins_a_new_row() -> None:
    respawns = Respawns(1)
    delays(respawns, 5, served=True)
    assert delays(respawns, 2, served=True, lived=STEADY) == [0, 0]
    assert delays(respawns, 1, served=True) == [0.5]


def test_places_are_due_each_at_its_time() -> None:
    respawns = Respawns(3)
    assert respawns.next_in(0) is None
    respawns.ended(1, served=True, killed=True, lived=1, now=10)
    respawns.ended(1, served=True, killed=True, lived=1, now=10)
    respawns.ended(2, served=True, killed=True, lived=1, now=10)
    assert respawns.next_in(10) == 0
    assert respawns.take_due(10) == [2]
    assert respawns.next_in(10.25) == 0.25
    assert respawns.take_due(10.25) == []
    assert respawns.next_in(20) == 0
    assert respawns.take_due(20) == [1]
    assert respawns.next_in(20) is None


@pytest.mark.parametrize(("killed", "tries"), [(False, REFUSED_STARTS), (True, KILLED_STARTS)])
def test_failed_starts_in_a_row_of_every_place_exhaust_it(killed: bool, tries: int) -> None:
    respawns = Respawns(2)
    for place, served in [(0, False)] * tries + [(1, True)] * tries + [(1, False)] * (tries - 1):
        respawns.ended(place, served=served, killed=killed, lived=1, now=0)
        assert not respawns.is_exhausted
    respawns.ended(1, served=False, killed=killed, lived=1, now=0)
    assert respawns.is_exhausted
    respawns.ended(0, served=True, killed=killed, lived=1, now=0)
    assert not respawns.is_exhausted
