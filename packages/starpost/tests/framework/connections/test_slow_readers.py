"""Clients that stop reading, and go on when the server has given them up: what they are told."""

import asyncio
from uuid import uuid4

import pytest

from starpost.testing import Serve
from starpost.testing.issuer import Issuer
from starpost.testing.launched import Launched
from starpost.testing.packet_client import PATIENCE, packet_client
from starpost_dev.services.ports import free_port
from tests.framework.probe import ProbeID

PING = -1


@pytest.fixture(scope="module")
def impatient(serve: Serve) -> Launched:
    """Soon takes a client for one that does not read; both doors are open."""
    return serve(WS_PORT=str(free_port()), WS_SEND_TIMEOUT="0.5")


@pytest.fixture
def token(issuer: Issuer) -> str:
    return issuer.token(sub=str(uuid4()), realm_access={"roles": ["author-reader"]}, resource_access={})


async def told_when_it_reads_on(server: Launched, port: int, token: str, after: str) -> tuple[int, str | None]:
    """The close code and the reason in CLOSING of a client that reads on when a line has been logged."""
    before = len(server.lines(after))
    async with packet_client(port, token, max_queue=1) as client, packet_client(port, token) as other:
        client.socket.transport.pause_reading()
        for _ in range(4):
            await client.send(ProbeID.LARGE, {"size": 4_000_000})
        async with asyncio.timeout(PATIENCE):
            while len(server.lines(after)) == before:
                assert (await other.ask(PING))["status_code"] == 0
                await asyncio.sleep(0.02)
        client.socket.transport.resume_reading()
        code, closing = await client.closed()
        return code, None if closing is None else closing["reason"]


@pytest.mark.parametrize("door", ["first", "second"])
async def test_who_reads_on_soon_is_told(impatient: Launched, token: str, door: str) -> None:
    port = impatient.port if door == "first" else impatient.at_second_door().port
    told = await told_when_it_reads_on(impatient, port, token, "slow_consumer")
    assert told == (1013, "slow_consumer")


async def test_who_reads_on_when_the_goodbye_was_given_up_is_told(impatient: Launched, token: str) -> None:
    """What waits to be written is still there, for as long as the second door waits for the answer to its close."""
    port = impatient.at_second_door().port
    told = await told_when_it_reads_on(impatient, port, token, "close_not_read")
    assert told == (1013, "slow_consumer")
