"""The hub empties itself in batches. What a real socket hears of it: ``test_endpoint``, ``tests/e2e``."""

import asyncio
from typing import Any, cast

import pytest

from starpost.connections import hub as hub_module
from starpost.connections.connection import Connection
from starpost.connections.hub import CLOSE_TIMEOUT, ConnectionHub
from starpost.protocol.close_codes import CloseCode, Verdict
from starpost.server.drain import GOODBYE_SECONDS, drain_limit
from starpost.settings import Settings


class StandIn:
    """As much of a connection as the hub touches in a drain; it goes when told, or never."""

    principal = None
    session_id = None

    def __init__(self, hub: ConnectionHub, number: int, *, goes: bool = True) -> None:
        self.id = str(number)
        self.verdict: Verdict | None = None
        self.grace = 0.0
        self._hub = hub
        self._goes = goes
        hub.add(self.as_connection())

    def as_connection(self) -> Connection:
        return cast("Connection", cast("Any", self))

    def stop(self, verdict: Verdict, *, grace: float) -> None:
        assert self.verdict is None, "told twice"
        self.verdict, self.grace = verdict, grace
        if self._goes:
            asyncio.get_running_loop().call_soon(self._hub.remove, self.as_connection())


@pytest.fixture
def hub() -> ConnectionHub:
    return ConnectionHub(heartbeat=30, heartbeat_timeout=10)


async def test_connections_are_told_in_batches_with_a_time_to_come_back(
    hub: ConnectionHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections = [StandIn(hub, number) for number in range(300)]
    batches: list[int] = []

    async def note_batch(_: float) -> None:
        batches.append(sum(connection.verdict is not None for connection in connections))
        await asyncio.sleep(0.05)

    monkeypatch.setattr(hub, "_emptied_within", note_batch)
    assert await hub.drain(spread=0.5, grace=3.0)
    assert batches[-1] == 300
    assert len(batches) > 2
    assert batches[0] < 100
    assert {connection.grace for connection in connections} == {3.0}
    verdicts = [connection.verdict for connection in connections if connection.verdict is not None]
    assert {verdict.code for verdict in verdicts} == {CloseCode.SERVICE_RESTART}
    assert all(0 <= verdict.after_ms <= 500 for verdict in verdicts)
    assert len({verdict.after_ms for verdict in verdicts}) > 10


async def test_few_connections_are_one_batch(hub: ConnectionHub) -> None:
    connections = [StandIn(hub, number) for number in range(hub_module.SMALLEST_BATCH)]
    draining = asyncio.create_task(hub.drain(spread=300, grace=3.0))
    await asyncio.sleep(0)
    assert all(connection.verdict is not None for connection in connections)
    assert await draining


async def test_a_connection_that_comes_during_the_drain_is_told_too(hub: ConnectionHub) -> None:
    stays = StandIn(hub, 1, goes=False)
    draining = asyncio.create_task(hub.drain(spread=0, grace=10))
    await asyncio.sleep(0)
    late = StandIn(hub, 2)
    async with asyncio.timeout(100):
        while late.verdict is None:  # noqa: ASYNC110 - the drain looks from time to time
            await asyncio.sleep(0.01)
    hub.remove(stays.as_connection())
    assert await draining


async def test_one_that_stays_does_not_hold_up_the_drain(
    hub: ConnectionHub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hub_module, "CLOSE_TIMEOUT", 0.1)
    StandIn(hub, 1, goes=False)
    assert not await hub.drain(spread=0, grace=0.1)
    assert "connections_left_after_drain" in capsys.readouterr().out


async def test_an_empty_hub_is_done_at_once(hub: ConnectionHub) -> None:
    assert await hub.drain(spread=300, grace=300)
    assert hub.is_draining


def test_the_launcher_waits_for_longer_than_a_worker_takes() -> None:
    settings = Settings()
    worker = settings.drain_spread + settings.drain_timeout + CLOSE_TIMEOUT
    assert drain_limit(timeout=settings.drain_timeout, spread=settings.drain_spread) > worker
    assert CLOSE_TIMEOUT <= GOODBYE_SECONDS
