"""Clients that leave without a word: what the others hear, and what becomes of what they had asked for."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest

from starpost.testing.issuer import Issuer
from starpost.testing.launched import Launched
from starpost.testing.packet_client import PATIENCE, PacketClient, packet_client
from tests.framework.probe import ProbeID

Leave = Callable[[PacketClient], Awaitable[None]]

PING, AUTH, SUBSCRIBE = -1, -2, -3
READERS, VANISHING, EVENTS, AT_ONCE = 5, 6, 1500, 10

AHEAD = 200
"""Events on their way at any time: far fewer than an outbox holds, which a worker that is busy may well fill."""


@pytest.fixture
def token(issuer: Issuer) -> str:
    return issuer.token(sub=str(uuid4()), realm_access={"roles": ["author-reader"]}, resource_access={})


async def reset(client: PacketClient) -> None:
    """End the connection by RST: the server is told nothing before."""
    transport = client.socket.transport
    # SO_LINGER of no time (socket(7)).
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def say_goodbye(client: PacketClient) -> None:
    """End the connection by a close frame, and wait for the server's."""
    await client.socket.close()


def event(packet: Any) -> Any:
    assert packet["pkg_id"] == ProbeID.ROOM_EVENT, packet
    return packet


async def test_a_client_that_vanishes_costs_the_others_no_event(probe: Launched, issuer: Issuer, token: str) -> None:
    room = {"topic": "rooms.2"}

    async def read() -> list[int]:
        heard: list[int] = []
        async with packet_client(probe.port, token) as client:
            await client.ask(SUBSCRIBE, room)
            subscribed.release()
            while len(heard) < EVENTS:
                heard += [event(await client.receive())["data"]["n"] for _ in range(AT_ONCE)]
                may_publish.release()
        return heard

    async def come_and_vanish() -> None:
        while True:
            async with packet_client(probe.port, issuer.token(sub=str(uuid4()))) as client:
                await client.ask(SUBSCRIBE, room)
                for _ in range(AT_ONCE):
                    await client.receive()
                await reset(client)

    subscribed = asyncio.Semaphore(0)
    may_publish = asyncio.Semaphore(READERS * AHEAD // AT_ONCE)
    async with packet_client(probe.port, token) as publisher:
        reading = [asyncio.create_task(read()) for _ in range(READERS)]
        for _ in range(READERS):
            await subscribed.acquire()
        vanishing = [asyncio.create_task(come_and_vanish()) for _ in range(VANISHING)]
        try:
            for _ in range(EVENTS // AT_ONCE):
                for _ in range(READERS):
                    await asyncio.wait_for(may_publish.acquire(), PATIENCE)
                published = {"topic": "rooms", "room": 2, "count": AT_ONCE}
                assert (await publisher.ask(ProbeID.PUBLISH, published))["status_code"] == 0
            heard = await asyncio.gather(*reading)
        finally:
            # Again, as `wait_for` takes no notice of a cancellation that comes with its result.
            while vanishing:
                for task in vanishing:
                    task.cancel()
                vanishing = [*(await asyncio.wait(vanishing, timeout=0.1))[1]]
    assert heard == [[*range(1, AT_ONCE + 1)] * (EVENTS // AT_ONCE)] * READERS
    assert not probe.lines("connection_check_failed")


@pytest.mark.parametrize("server", ["probe", "parallel", "second_door"])
async def test_an_ended_connection_does_not_wait_for_the_garbage_collector(
    request: pytest.FixtureRequest, server: str, token: str
) -> None:
    """The collector is off meanwhile: what is held in a circle would stay, each of the clients.

    Litestar's own socket, which ``FAST_PATHS=false`` uses, holds itself.
    """
    port: int = request.getfixturevalue(server).port

    async def held(*, is_on: bool = False) -> int:
        counts: dict[str, int] = (await asker.ask(ProbeID.ALIVE, {"is_on": is_on}))["data"]
        return max(counts.values())

    async with packet_client(port, token) as asker:
        before = await held()
        try:
            for leave in (say_goodbye, reset) * 2:
                async with packet_client(port, token) as client:
                    await client.ask(SUBSCRIBE, {"topic": "rooms.2"})
                    await client.ask(ProbeID.SLEEP, {"seconds": 0.2})
                    await leave(client)
                async with packet_client(port, token) as client:
                    req_id = await client.send(ProbeID.SLEEP, {"seconds": 28})
                    await journal_has(asker, f"begin {req_id}")
                    await leave(client)
                async with packet_client(port) as client:
                    assert (await client.ask(AUTH, {"token": token}))["status_code"] == 0
                async with packet_client(port, "malformed") as client:
                    assert (await client.closed())[0] == 4401
            for _ in range(200):
                # A task that looks at one connection after the other may hold the last.
                if await held() <= before + 1:
                    return
                await asyncio.sleep(0.05)
            pytest.fail("ended connections are held")
        finally:
            await held(is_on=True)


async def journal_has(client: PacketClient, line: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while line not in (await client.ask(ProbeID.JOURNAL))["data"]:  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.05)


async def rows(client: PacketClient, sql: str) -> Any:
    reply = await client.ask(ProbeID.QUERY, {"sql": sql})
    assert reply["status_code"] == 0, reply
    return reply["data"]


@pytest.mark.parametrize("leave", [reset, say_goodbye])
async def test_what_a_client_left_running_is_stopped(either: Launched, token: str, leave: Leave) -> None:
    async with packet_client(either.port, token) as other:
        async with packet_client(either.port, token) as client:
            req_id = await client.send(ProbeID.SLEEP, {"seconds": 28})
            await journal_has(other, f"begin {req_id}")
            await leave(client)
        await journal_has(other, f"cancelled {req_id}")


@pytest.mark.parametrize("leave", [reset, say_goodbye])
async def test_the_query_of_a_client_that_left_is_stopped(either: Launched, token: str, leave: Leave) -> None:
    mark = f"left by {uuid4()}"
    running = "SELECT count(*) AS n FROM pg_stat_activity WHERE state <> 'idle' AND pid <> pg_backend_pid()"
    running += f" AND query LIKE '%{mark}%'"
    async with packet_client(either.port, token) as other:

        async def seen(count: int) -> None:
            # Sooner than it would end by itself.
            async with asyncio.timeout(20):
                while await rows(other, running) != [{"n": count}]:  # noqa: ASYNC110 - PostgreSQL has no event for it
                    await asyncio.sleep(0.05)

        async with packet_client(either.port, token) as client:
            await client.send(ProbeID.QUERY, {"sql": f"SELECT pg_sleep(28) /* {mark} */"})
            await seen(1)
            await leave(client)
        await seen(0)


async def test_a_write_that_is_about_to_commit_does(either: Launched, token: str) -> None:
    name = str(uuid4())
    async with packet_client(either.port, token) as other:
        await rows(other, "CREATE TABLE IF NOT EXISTS left_rows (name text)")
        async with packet_client(either.port, token) as client:
            await client.send(ProbeID.QUERY, {"sql": f"INSERT INTO left_rows SELECT '{name}' FROM pg_sleep(0.3)"})
            # Answered while the other runs: that one has been read, and one that was not would not begin.
            await client.ask(PING)
            await reset(client)
        async with asyncio.timeout(PATIENCE):
            while not await rows(other, f"SELECT 1 AS one FROM left_rows WHERE name = '{name}'"):  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def test_what_waits_behind_it_does_not_begin(either: Launched, token: str) -> None:
    """A batch, and the frames behind it, more than there are slots."""
    async with packet_client(either.port, token) as other:
        async with packet_client(either.port, token) as client:
            packets: list[dict[str, Any]] = [
                {"pkg_id": ProbeID.SLEEP, "req_id": str(uuid4()), "data": {"seconds": seconds}}
                for seconds in (28, 0, 28, 28, 28, 0, 0)
            ]
            batch, frames = packets[:2], packets[2:]
            await client.send_value(batch)
            for packet in frames:
                await client.send_value(packet)
            await journal_has(other, f"begin {batch[0]['req_id']}")
            await client.ask(PING)  # so that the server reads on, and has read them
            await reset(client)
        told: list[str] = []
        async with asyncio.timeout(PATIENCE):
            while f"cancelled {batch[0]['req_id']}" not in told:
                told += (await other.ask(ProbeID.JOURNAL))["data"]
                await asyncio.sleep(0.05)
        # Whatever began was stopped in the same moment, so that nothing of it comes later.
        told += (await other.ask(ProbeID.JOURNAL))["data"]
    late = [batch[1], *frames[-2:]]
    assert not [line for line in told for packet in late if packet["req_id"] in line]
