"""When a worker that ended is started again."""

from app.framework.server.respawns import SERVED_DELAY, START_TRIES, STEADY, UNSERVED_DELAY, Respawns


def delays(respawns: Respawns, count: int, *, served: bool, lived: float = 1.0) -> list[float]:
    return [respawns.ended(0, served=served, lived=lived, now=0) for _ in range(count)]


def test_a_worker_that_served_is_started_at_once_and_then_with_back_off() -> None:
    assert delays(Respawns(1), 7, served=True) == [0, 0.5, 1, 2, 4, SERVED_DELAY, SERVED_DELAY]


def test_one_that_never_became_ready_waits_longer() -> None:
    assert delays(Respawns(1), 9, served=False) == [0, 0.5, 1, 2, 4, 8, 16, UNSERVED_DELAY, UNSERVED_DELAY]
    assert delays(Respawns(1), 5_000, served=False)[-1] == UNSERVED_DELAY


def test_a_long_life_begins_a_new_row() -> None:
    respawns = Respawns(1)
    delays(respawns, 5, served=True)
    assert delays(respawns, 2, served=True, lived=STEADY) == [0, 0]
    assert delays(respawns, 1, served=True) == [0.5]


def test_places_are_due_each_at_its_time() -> None:
    respawns = Respawns(3)
    assert respawns.next_in(0) is None
    respawns.ended(1, served=True, lived=1, now=10)
    respawns.ended(1, served=True, lived=1, now=10)
    respawns.ended(2, served=True, lived=1, now=10)
    assert respawns.next_in(10) == 0
    assert respawns.take_due(10) == [2]
    assert respawns.next_in(10.25) == 0.25
    assert respawns.take_due(10.25) == []
    assert respawns.next_in(20) == 0
    assert respawns.take_due(20) == [1]
    assert respawns.next_in(20) is None


def test_only_failed_starts_in_a_row_of_every_place_exhaust_it() -> None:
    respawns = Respawns(2)
    for place, served in [(0, False)] * START_TRIES + [(1, True)] * START_TRIES + [(1, False)] * (START_TRIES - 1):
        respawns.ended(place, served=served, lived=1, now=0)
        assert not respawns.is_exhausted
    respawns.ended(1, served=False, lived=1, now=0)
    assert respawns.is_exhausted
    respawns.ended(0, served=True, lived=1, now=0)
    assert not respawns.is_exhausted
