"""Clients that leave without a word, over real sockets: what the others hear, and what becomes of what they had asked."""

import asyncio
import socket
import struct
from typing import Any
from uuid import uuid4

import pytest

from tests.framework.auth.issuer import Issuer
from tests.framework.server.launched import Launched
from tests.packet_client import PacketClient, packet_client
from tests.probe import ProbeID

SUBSCRIBE = -3
READERS, VANISHING, EVENTS, AT_ONCE = 5, 6, 1500, 10


@pytest.fixture
def token(issuer: Issuer) -> str:
    return issuer.token(sub=str(uuid4()), realm_access={"roles": ["author-reader"]}, resource_access={})


def reset(client: PacketClient) -> None:
    """End the connection by RST: the server is told nothing before."""
    transport = client.socket.transport
    # SO_LINGER of no time (socket(7)).
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def event(packet: Any) -> Any:
    assert packet["pkg_id"] == ProbeID.ROOM_EVENT, packet
    return packet


async def test_a_client_that_vanishes_costs_the_others_no_event(probe: Launched, issuer: Issuer, token: str) -> None:
    room = {"topic": "rooms.2"}

    async def read() -> list[int]:
        async with packet_client(probe.port, token) as client:
            await client.ask(SUBSCRIBE, room)
            subscribed.release()
            return [event(await client.receive())["data"]["n"] for _ in range(EVENTS)]

    async def come_and_vanish() -> None:
        while True:
            async with packet_client(probe.port, issuer.token(sub=str(uuid4()))) as client:
                await client.ask(SUBSCRIBE, room)
                for _ in range(AT_ONCE):
                    await client.receive()
                reset(client)

    subscribed = asyncio.Semaphore(0)
    async with packet_client(probe.port, token) as publisher:
        reading = [asyncio.create_task(read()) for _ in range(READERS)]
        for _ in range(READERS):
            await subscribed.acquire()
        vanishing = [asyncio.create_task(come_and_vanish()) for _ in range(VANISHING)]
        try:
            for _ in range(EVENTS // AT_ONCE):
                published = {"topic": "rooms", "room": 2, "count": AT_ONCE}
                assert (await publisher.ask(ProbeID.PUBLISH, published))["status_code"] == 0
            heard = await asyncio.gather(*reading)
        finally:
            for task in vanishing:
                task.cancel()
            await asyncio.gather(*vanishing, return_exceptions=True)
    assert heard == [[*range(1, AT_ONCE + 1)] * (EVENTS // AT_ONCE)] * READERS
    assert not probe.lines("connection_check_failed")
