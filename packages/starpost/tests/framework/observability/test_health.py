"""Readiness, without HTTP; over it in test_http."""

import asyncio

import pytest
from structlog.testing import capture_logs

from starpost.observability import health
from starpost.observability.health import DrainingError, NotReadyError, Readiness


async def fine() -> None:
    return None


async def broken() -> None:
    msg = "db.internal:5432 refused"
    raise ConnectionError(msg)


async def hangs() -> None:
    await asyncio.sleep(3600)


async def test_all_parts_are_there() -> None:
    readiness = Readiness()
    readiness.register("database", fine)
    readiness.register("redis", fine)
    assert (await readiness.check()).parts == {"database": "ok", "redis": "ok"}


async def test_the_failing_parts_are_named_and_nothing_else() -> None:
    readiness = Readiness()
    readiness.register("database", broken)
    readiness.register("redis", hangs, timeout=0.01)
    readiness.register("realm", fine)
    with pytest.raises(NotReadyError) as refused:
        await readiness.check()
    assert refused.value.msg == "Not ready: database, redis"
    assert [(e.path, e.msg) for e in refused.value.errors] == [("$.database", "failed"), ("$.redis", "timeout")]
    assert "internal" not in str(refused.value.body())


async def test_parts_are_asked_side_by_side() -> None:
    readiness = Readiness()
    both = asyncio.Barrier(2)
    readiness.register("a", both.wait)
    readiness.register("b", both.wait)
    assert (await readiness.check()).status == "ready"


async def test_many_who_ask_cost_one_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "KEPT", 3600.0)
    asked = 0

    async def counted() -> None:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.01)

    readiness = Readiness()
    readiness.register("database", counted)
    await asyncio.gather(*(readiness.check() for _ in range(50)))
    await readiness.check()
    assert asked == 1


async def test_who_asks_first_may_go_away() -> None:
    go_on = asyncio.Event()
    readiness = Readiness()
    readiness.register("database", go_on.wait)
    first = asyncio.create_task(readiness.check())
    await asyncio.sleep(0)
    second = asyncio.create_task(readiness.check())
    await asyncio.sleep(0)
    first.cancel()
    go_on.set()
    assert (await second).status == "ready"


async def test_a_drain_is_told_before_anything_is_asked() -> None:
    readiness = Readiness(lambda: True)
    readiness.register("database", broken)
    with pytest.raises(DrainingError):
        await readiness.check()


async def test_a_change_is_logged_once() -> None:
    readiness = Readiness()
    readiness.register("database", broken)
    with capture_logs() as lines:
        for _ in range(3):
            with pytest.raises(NotReadyError):
                await readiness.check()
            readiness._outcome = None
    assert [line["failing"] for line in lines if line["event"] == "readiness_changed"] == [["database"]]
