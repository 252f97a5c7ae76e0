"""The garbage collector of a worker."""

import gc
from collections.abc import Iterator
from typing import Any

import pytest

from starpost.server.collector import YOUNGEST, suspend
from starpost.server.worker import ExplainedStart


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """This process goes on with what it had."""
    thresholds = gc.get_threshold()
    yield
    gc.enable()
    gc.unfreeze()
    gc.set_threshold(*thresholds)


async def _start(outcome: str) -> None:
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": outcome})

    async def nothing(*_: Any) -> None:
        return None

    await ExplainedStart(app, lambda: None)({"type": "lifespan"}, nothing, nothing)


async def test_what_the_start_has_made_is_never_looked_at_again() -> None:
    made: list[dict[str, str]] = [{}]
    assert any(each is made for each in gc.get_objects())

    await _start("lifespan.startup.complete")

    assert gc.get_freeze_count() > 0
    assert not any(each is made for each in gc.get_objects())
    assert gc.get_threshold()[0] == YOUNGEST


async def test_it_rests_until_the_start_is_over() -> None:
    suspend()
    assert not gc.isenabled()

    await _start("lifespan.startup.complete")

    assert gc.isenabled()


async def test_cycles_of_later_are_still_freed() -> None:
    await _start("lifespan.startup.complete")

    cycle: list[Any] = []
    cycle.append(cycle)
    del cycle

    assert gc.collect() >= 1


async def test_a_start_that_failed_sets_nothing() -> None:
    before = gc.get_threshold()

    await _start("lifespan.startup.failed")

    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0
