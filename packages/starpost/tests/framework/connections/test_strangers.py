"""Sockets that have not signed in: what they may send, and how many there may be, over real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import islice
from typing import Any
from uuid import uuid4

import pytest
from litestar import Litestar
from websockets.exceptions import ConnectionClosed

from starpost.connections import places
from starpost.server import DrainSignal
from starpost.testing import Serve
from starpost.testing.issuer import OTHER_RSA_KEY, Issuer
from starpost.testing.launched import Launched
from starpost.testing.packet_client import NIL, PATIENCE, PacketClient, packet_client
from tests.framework.probe import ProbeID, create

PING, AUTH = -1, -2

PLACES, FOR_STRANGERS = 20, 2
WAITING_FOR_KEYCLOAK = FOR_STRANGERS


@pytest.fixture(scope="module")
def crowded(serve: Serve) -> Launched:
    """Few places, of which a tenth is for strangers. Who holds one has time, for AUTH and for Keycloak's answer."""
    return serve(WS_MAX_CONNECTIONS=str(PLACES), WS_AUTH_TIMEOUT="100", KEYCLOAK_TIMEOUT="100")


def packet(pkg_id: int, data: Any = None) -> dict[str, Any]:
    return {"pkg_id": pkg_id, "req_id": str(uuid4()), "data": data}


# ---- what they may send ----------------------------------------------------------------------------------------------


def of_size(size: int) -> str:
    frame = json.dumps(packet(ProbeID.ECHO, {"filler": ""}))
    return frame.replace('"filler": "', '"filler": "' + "x" * (size - len(frame)))


async def test_a_frame_of_a_stranger_holds_32_kib(probe: Launched, issuer: Issuer) -> None:
    async with packet_client(probe.port) as client:
        await client.send_frame(of_size(32_768))
        assert (await client.receive())["status_code"] == 9
        await client.send_frame(of_size(33 * 1024))
        code, closing = await client.closed()
    assert (code, closing["reason"], closing["reconnect"]) == (1009, "message_too_big", False)
    async with packet_client(probe.port) as client:
        assert (await client.ask(AUTH, {"token": issuer.token()}))["status_code"] == 0
        await client.send_frame(of_size(33 * 1024))
        assert (await client.receive())["data"]["code"] == "invalid_data"


@pytest.mark.parametrize("codec", ["json", "msgpack"])
async def test_a_frame_of_a_stranger_holds_one_packet(probe: Launched, issuer: Issuer, codec: Any) -> None:
    async with packet_client(probe.port, codec=codec) as client:
        for batch in ([packet(AUTH, {"token": issuer.token()})], [packet(PING)] * 64, [1] * 5000, []):
            await client.send_value(batch)
            reply = await client.receive()
            assert (reply["status_code"], reply["pkg_id"], reply["req_id"]) == (9, 0, NIL)
        assert (await client.ask(ProbeID.WHO))["status_code"] == 9, "nobody was signed in by a batch"
        assert (await client.ask(AUTH, {"token": issuer.token()}))["status_code"] == 0
        await client.send_value([packet(ProbeID.WHO), packet(ProbeID.WHO)])
        assert [reply["status_code"] for reply in await client.receive()] == [0, 0]


async def test_whatever_is_not_auth_is_a_bad_frame(probe: Launched) -> None:
    async with packet_client(probe.port) as client:
        for _ in range(9):
            assert (await client.ask(PING, {}))["data"]["code"] == "invalid_token"
        # AUTH is none, but does not begin the count anew either.
        assert (await client.ask(AUTH, {"token": 3}))["data"]["code"] == "invalid_data"
        assert (await client.ask(PING, {}))["status_code"] == 9, "the last one is answered, too"
        code, closing = await client.closed()
    assert (code, closing["reason"], closing["reconnect"]) == (4400, "too_many_bad_frames", False)


async def test_auth_that_signs_nobody_in_counts(probe: Launched) -> None:
    """A handshake is charged to its address, what comes behind it is not: it must not buy a thousand answers."""
    async with packet_client(probe.port) as client:
        for _ in range(10):
            assert (await client.ask(AUTH, {"token": 3}))["data"]["code"] == "invalid_data"
        assert (await client.ask(AUTH, {"token": 3}))["status_code"] == 9
        code, closing = await client.closed()
    assert (code, closing["reason"], closing["reconnect"]) == (4400, "too_many_bad_frames", False)


async def test_auth_that_is_good_begins_anew(probe: Launched, issuer: Issuer) -> None:
    async with packet_client(probe.port) as client:
        for _ in range(9):
            await client.ask(AUTH, {"token": 3})
        assert (await client.ask(AUTH, {"token": issuer.token()}))["status_code"] == 0
        for _ in range(9):
            await client.send_frame("{")
            assert (await client.receive())["data"]["code"] == "bad_frame"
        assert (await client.ask(ProbeID.WHO))["status_code"] == 0


async def test_a_stranger_does_not_even_learn_what_is_wrong(probe: Launched) -> None:
    async with packet_client(probe.port) as client:
        for frame in ("{", "7", '{"pkg_id": "x"}', b"\x00", json.dumps(packet(9999)), json.dumps({"pkg_id": AUTH})):
            await client.send_frame(frame)
            reply = await client.receive()
            assert (reply["status_code"], reply["data"]["code"]) == (9, "invalid_token")


async def test_bad_frames_of_a_stranger_are_forgotten_with_the_first_good_one(probe: Launched, issuer: Issuer) -> None:
    async with packet_client(probe.port) as client:
        for _ in range(9):
            await client.ask(PING, {})
        assert (await client.ask(AUTH, {"token": issuer.token()}))["status_code"] == 0
        await client.ask(ProbeID.WHO)
        await client.send_frame("{")
        assert (await client.receive())["data"]["code"] == "bad_frame"
        assert (await client.ask(ProbeID.WHO))["status_code"] == 0


async def begun(client: PacketClient, size: int, way: str) -> None:
    """Send so many bytes of a message that does not end."""
    if way == "fragments":

        async def endless() -> AsyncIterator[str]:
            for _ in range(size // 1024):
                yield "x" * 1024
            await asyncio.Event().wait()

        sending.append(asyncio.create_task(client.socket.send(endless())))
    else:
        # A text frame's header with a length of 16 MiB, the most that the server below takes, and a mask of zeros.
        header = b"\x81\xff" + (2**24).to_bytes(8, "big") + bytes(4)
        client.socket.transport.write(header + b"x" * size)


sending: list[asyncio.Task[None]] = []
"""Kept from the garbage collector; they end with their sockets."""


@pytest.mark.parametrize("way", ["fragments", "frame"])
async def test_what_a_stranger_has_begun_is_weighed_before_it_ends(probe: Launched, way: str) -> None:
    """The server below would put 64 MiB together, and for the whole time that AUTH has."""
    async with packet_client(probe.port) as client:
        await begun(client, 200 * 1024, way)
        code, closing = await client.closed()
    assert (code, closing["reason"], closing["reconnect"]) == (1009, "message_too_big", False)


async def test_who_has_signed_in_may_send_a_message_slowly(probe: Launched, issuer: Issuer) -> None:
    size = 200 * 1024
    start = json.dumps(packet(ProbeID.ECHO, {"filler": ""}))[:-3]

    async def slow() -> AsyncIterator[str]:
        yield start
        for _ in range(10):
            yield "x" * (size // 10)
            # Longer than the time between two looks.
            await asyncio.sleep(0.05)
        yield '"}}'

    async with packet_client(probe.port) as client:
        await client.ask(AUTH, {"token": issuer.token()})
        await client.socket.send(slow())
        assert (await client.receive())["data"]["code"] == "invalid_data"


# ---- how many there may be -------------------------------------------------------------------------------------------


@asynccontextmanager
async def stranger(server: Launched) -> AsyncIterator[PacketClient]:
    """One that holds a place, which may have to be given back by another one first."""
    async with AsyncExitStack() as stack:
        async with asyncio.timeout(PATIENCE):
            while True:
                client = await stack.enter_async_context(packet_client(server.port))
                try:
                    assert (await client.ask(PING, {}))["status_code"] == 9
                    break
                except ConnectionClosed:
                    await asyncio.sleep(0.05)
        yield client


async def is_turned_away(server: Launched, token: str | None = None) -> bool:
    """Whether the server is overloaded for such a client."""
    async with packet_client(server.port, token) as client:
        # It may be closed already; CLOSING can be read all the same.
        with suppress(ConnectionClosed):
            await client.send(PING, {})
        first = await client.receive()
        if first["pkg_id"] == PING:
            return False
        client.pushed.append(first)
        code, closing = await client.closed()
        assert (code, closing["reason"], closing["reconnect"]) == (1013, "overloaded", True)
        return True


async def test_strangers_do_not_turn_users_away(crowded: Launched, issuer: Issuer) -> None:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(stranger(crowded))
        await stack.enter_async_context(stranger(crowded))
        # One above the tenth, and a flood of them; what they hold while they are told so is no place.
        flood = [await stack.enter_async_context(packet_client(crowded.port)) for _ in range(3 * PLACES)]

        async def user(number: int) -> PacketClient:
            token = issuer.token(sub=f"strangers-{number}")
            return await stack.enter_async_context(packet_client(crowded.port, token))

        for number in range(PLACES - FOR_STRANGERS):
            assert (await (await user(number)).ask(ProbeID.WHO))["status_code"] == 0
        for client in flood:
            code, closing = await client.closed()
            assert (code, closing["reason"], closing["reconnect"]) == (1013, "overloaded", True)
        assert await is_turned_away(crowded, issuer.token(sub="one-too-many")), "there is no place at all"

        # Who signs in is no stranger any more, but keeps the place.
        assert (await first.ask(AUTH, {"token": issuer.token(sub="strangers")}))["status_code"] == 0
        assert await is_turned_away(crowded)
    async with stranger(crowded):
        assert not await is_turned_away(crowded), "all places were given back"


async def test_who_signs_in_leaves_the_place_of_a_stranger(crowded: Launched, issuer: Issuer) -> None:
    async with stranger(crowded) as first, stranger(crowded):
        assert await is_turned_away(crowded)
        for _ in range(2):  # and a new token does not count twice
            assert (await first.ask(AUTH, {"token": issuer.token()}))["status_code"] == 0
        async with stranger(crowded):
            assert await is_turned_away(crowded)


async def test_bad_tokens_that_wait_for_keycloak_turn_nobody_away(crowded: Launched, issuer: Issuer) -> None:
    """They are no way round the share of strangers: their key is not known, and Keycloak hangs."""
    async with AsyncExitStack() as stack:
        stack.callback(issuer.released.set)
        issuer.arrived.clear()
        issuer.released.clear()
        token = issuer.token(OTHER_RSA_KEY)
        flood = [await stack.enter_async_context(packet_client(crowded.port, token)) for _ in range(3 * PLACES)]
        assert await asyncio.to_thread(issuer.arrived.wait, PATIENCE)
        verdicts = [asyncio.create_task(client.closed()) for client in flood]
        for done in islice(asyncio.as_completed(verdicts), len(flood) - WAITING_FOR_KEYCLOAK):
            code, closing = await done
            assert (code, closing["reason"], closing["reconnect"]) == (1013, "overloaded", True)
        # The key of users is known; strangers have places of their own.
        for number in range(PLACES - FOR_STRANGERS - WAITING_FOR_KEYCLOAK):
            client = await stack.enter_async_context(
                packet_client(crowded.port, issuer.token(sub=f"strangers-{number}"))
            )
            assert (await client.ask(ProbeID.WHO))["status_code"] == 0
        async with stranger(crowded), stranger(crowded):
            pass
        issuer.released.set()
        codes = [code for code, _ in await asyncio.gather(*verdicts)]
        assert codes.count(4401) == WAITING_FOR_KEYCLOAK, "who could wait was judged"


def create_curt(drain: DrainSignal) -> Litestar:
    """An application that has no time for goodbyes, as under a flood."""
    places.GOODBYES = 0  # type: ignore[misc]
    return create(drain)


async def test_a_goodbye_without_time_is_the_close_code(serve: Serve, issuer: Issuer) -> None:
    server = serve("tests.framework.connections.test_strangers:create_curt")
    async with packet_client(server.port, issuer.token(OTHER_RSA_KEY)) as client:
        assert await client.closed() == (4401, None)
    async with packet_client(server.port, issuer.token()) as client:
        assert (await client.ask(ProbeID.WHO))["status_code"] == 0
