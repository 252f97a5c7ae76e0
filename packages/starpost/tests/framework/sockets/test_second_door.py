"""The application behind its second door: what a client is told on the way in, while it is there, and at the end.

What holds for packets at either door is in ``tests/framework/connections``.
"""

import asyncio
import json
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from starpost.testing import Serve, plain_http
from starpost.testing.issuer import Issuer
from starpost.testing.launched import Launched
from starpost.testing.packet_client import PATIENCE, packet_client
from starpost_dev.services.ports import free_port
from tests.framework.probe import ProbeID
from tests.framework.sockets.echo import CLOSE, CONTINUATION, GOOD, PONG, TEXT, Raw, answer, frame, handshake
from tests.framework.sockets.echo import PING as PING_FRAME

PING, AUTH, SUBSCRIBE = -1, -2, -3


@pytest.fixture(scope="session")
def both(serve: Serve) -> Launched:
    """Little is let in, and both doors are open."""
    return serve(
        WS_PORT=str(free_port()),
        WS_MAX_MESSAGE_BYTES="100000",
        WS_SEND_TIMEOUT="0.5",
        WS_MAX_CONNECTIONS_PER_USER="3",
    )


@pytest.fixture
def door(both: Launched) -> Launched:
    return both.at_second_door()


def token_of(issuer: Issuer, *roles: str) -> str:
    return issuer.token(sub=str(uuid4()), realm_access={"roles": [*roles]}, resource_access={})


@pytest.fixture
def token(issuer: Issuer) -> str:
    return token_of(issuer, "author-reader")


@pytest.mark.parametrize("codec", ["json", "msgpack"])
@pytest.mark.parametrize("way", ["header", "subprotocol", "query", "auth"])
async def test_the_ways_in(door: Launched, token: str, way: str, codec: Any) -> None:
    url = f"ws://127.0.0.1:{door.port}/web"
    offered = [codec] + ([f"bearer.{token}"] if way == "subprotocol" else [])
    headers = {"Authorization": f"Bearer {token}"} if way == "header" else None
    query = f"?Authorization=Bearer%20{token}" if way == "query" else ""
    async with connect(url + query, subprotocols=offered, additional_headers=headers) as socket:
        assert socket.subprotocol == codec
    async with packet_client(door.port, None if way == "auth" else token, codec=codec) as client:
        if way == "auth":
            assert (await client.ask(AUTH, {"token": token}))["status_code"] == 0
        assert (await client.ask(ProbeID.ECHO, {"name": "a"}))["data"]["name"] == "a"


async def test_without_fast_paths(serve: Serve, token: str) -> None:
    """Litestar's own way to the route answers a handshake without a wait, too."""
    door = serve(WS_PORT=str(free_port()), FAST_PATHS="false").at_second_door()
    async with packet_client(door.port, token) as client:
        assert (await client.ask(ProbeID.ECHO, {"name": "a"}))["data"]["name"] == "a"


async def test_a_bad_token_is_told_by_the_close_code(door: Launched) -> None:
    async with packet_client(door.port, "no.good.token") as client:
        code, closing = await client.closed()
    assert (code, closing["reason"]) == (4401, "invalid_token")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "elsewhere.example"}, 400),
        ({"Origin": "https://elsewhere.example"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
    ],
    ids=["host", "origin", "another port"],
)
async def test_hosts_and_origins(door: Launched, headers: dict[str, str], status: int) -> None:
    found, head = await answer(door.port, handshake(GOOD | headers))
    assert found == status
    assert b"application/problem+json" in head
    assert b"X-Request-Id: " in head


async def test_pages_of_the_first_port_may_connect(serve: Serve) -> None:
    """A page is never of the socket's port, where no pages are."""
    port, ws_port = free_port(), free_port()
    door = serve(PORT=str(port), WS_PORT=str(ws_port)).at_second_door()
    headers = {"Host": f"127.0.0.1:{ws_port}"}
    async with connect(f"ws://127.0.0.1:{ws_port}/web", additional_headers={"Origin": f"http://127.0.0.1:{port}"}):
        pass
    found, _ = await answer(door.port, handshake(GOOD | headers | {"Origin": f"http://localhost:{port}"}))
    assert found == 403


async def test_pages_of_a_first_port_that_the_launcher_chose_may_connect(door: Launched) -> None:
    assert door.environ["PORT"] == "0"
    origin = {"Origin": f"http://127.0.0.1:{door.http_port}"}
    async with connect(f"ws://127.0.0.1:{door.port}/web", additional_headers=origin):
        pass


async def test_both_doors_are_one_application(both: Launched, door: Launched, token: str) -> None:
    """A user's sockets are counted together, and hear the same events."""
    room = uuid4().int % 10**9
    async with packet_client(both.port, token) as first, packet_client(door.port, token) as second:
        for client in (first, second):
            await client.ask(SUBSCRIBE, {"topic": f"rooms.{room}"})
        await first.ask(ProbeID.PUBLISH, {"topic": "rooms", "room": room, "count": 3})
        for client in (first, second):
            events = [await client.next_push(ProbeID.ROOM_EVENT) for _ in range(3)]
            assert [event["data"]["n"] for event in events] == [1, 2, 3]
        async with packet_client(door.port, token) as third, packet_client(door.port, token) as fourth:
            assert (await third.ask(PING))["status_code"] == 0
            assert (await fourth.closed())[0] == 4429


async def test_a_frame_that_is_too_big_closes_at_once(door: Launched, token: str) -> None:
    async with packet_client(door.port, token) as client:
        await client.ask(PING)
        await client.send_frame("x" * 100_001)
        with pytest.raises(ConnectionClosed) as closed:
            await client.receive()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


@pytest.mark.parametrize(
    ("sent", "code", "reason"),
    [
        (frame(TEXT, b"x" * 100_001), 1009, "message_too_big"),
        (frame(TEXT, b"x" * 60_000, fin=False) + frame(CONTINUATION, b"x" * 60_000), 1009, "message_too_big"),
        (frame(TEXT, b"a", reserved=4), 1002, "protocol_error"),
        (frame(TEXT, b"a", is_masked=False), 1002, "protocol_error"),
        (frame(TEXT, b"\xff"), 1007, "invalid_text"),
        (frame(CLOSE, (1009).to_bytes(2)), 1000, "client"),
    ],
    ids=["a frame", "a message", "a reserved bit", "no mask", "no text", "the client's own code"],
)
async def test_an_end_is_counted_and_logged_by_its_cause(
    both: Launched, door: Launched, issuer: Issuer, sent: bytes, code: int, reason: str
) -> None:
    def closed() -> float:
        metrics = plain_http.get(f"http://127.0.0.1:{both.port}/metrics").text
        found = re.search(rf'^ws_connections_closed_total{{code="{code}",worker="0"}} (\S+)', metrics, re.MULTILINE)
        return float(found[1]) if found else 0

    user = f"breaker-{uuid4().hex}"
    token = issuer.token(sub=user, preferred_username=user, realm_access={"roles": []}, resource_access={})
    before = await asyncio.to_thread(closed)

    def ends() -> set[str]:
        return {line["reason"] for line in both.lines("disconnected") if line["user"] == user}

    # Again, where the log has had its lines of this second from the tests before.
    async with asyncio.timeout(PATIENCE):
        while not ends():
            async with raw_socket(door.port, token) as client:
                client.send(sent)
                if reason == "client":
                    # Not answered once more: the server has closed the socket.
                    assert (await client.receive())[0] == CLOSE
                else:
                    assert await client.closed() == code
            await asyncio.sleep(0.3)
    assert ends() == {reason}
    # A socket of another test may have ended meanwhile.
    assert await asyncio.to_thread(closed) >= before + 1


async def test_a_client_that_does_not_read_is_closed(both: Launched, door: Launched, token: str) -> None:
    async with packet_client(door.port, token, max_queue=1) as stalled, packet_client(door.port, token) as other:
        stalled.socket.transport.pause_reading()
        for _ in range(4):
            await stalled.send(ProbeID.LARGE, {"size": 4_000_000})
        async with asyncio.timeout(PATIENCE):
            while not both.lines("close_not_read"):
                assert (await other.ask(ProbeID.ECHO, {"name": "a"}))["status_code"] == 0
                await asyncio.sleep(0.05)
        stalled.socket.transport.resume_reading()
        with pytest.raises(ConnectionClosed):
            while True:
                await stalled.receive()
    [line] = both.lines("slow_consumer")
    assert line["cause"] == "stalled"


async def test_a_connection_is_ended_by_its_id(door: Launched, issuer: Issuer) -> None:
    headers = {"Authorization": f"Bearer {token_of(issuer, 'author-reader', 'admin')}"}
    async with packet_client(door.port) as client:
        reply = await client.ask(AUTH, {"token": token_of(issuer, "author-reader")})
        url = f"http://127.0.0.1:{door.http_port}/connections/{reply['data']['connection_id']}"
        assert (await asyncio.to_thread(plain_http.delete, url, headers=headers)).status_code == 204
        code, closing = await client.closed()
    assert (code, closing["reason"]) == (4401, "session_revoked")


async def test_a_stop_tells_every_client_when_to_come_back(
    service_environment: dict[str, str], issuer: Issuer, tmp_path: Path, token: str
) -> None:
    settings = {**service_environment, "KEYCLOAK_BASE_URL": issuer.base_url, "WS_PORT": str(free_port())}
    with Launched(tmp_path, "tests.framework.probe:create", DRAIN_SPREAD="0", WORKERS="2", **settings) as server:
        door = server.started().at_second_door()
        async with packet_client(door.port, token) as client:
            await client.ask(PING)
            running = await client.send(ProbeID.SLEEP, {"seconds": 1})
            # Answered while the other runs: that one has been read.
            await client.ask(PING)
            server.process.send_signal(signal.SIGTERM)
            assert (await client.reply_to(running))["status_code"] == 0
            code, closing = await client.closed()
        assert (code, closing["reason"], closing["reconnect"]) == (1012, "service_restart", True)
        assert await asyncio.to_thread(server.ended) == 0
        with pytest.raises((ConnectionError, InvalidStatus)):
            async with connect(f"ws://127.0.0.1:{door.port}/web"):
                pass


# ---- what does not start ---------------------------------------------------------------------------------------------


def test_a_port_that_is_taken(service_environment: dict[str, str], both: Launched, tmp_path: Path) -> None:
    port = both.environ["WS_PORT"]
    with Launched(tmp_path, "tests.framework.probe:create", **{**service_environment, "WS_PORT": port}) as second:
        assert second.ended() == 2
    assert f"cannot listen on 127.0.0.1:{port}" in second.output.read_text()


def test_without_picows(service_environment: dict[str, str], tmp_path: Path) -> None:
    hidden = tmp_path / "sitecustomize.py"
    hidden.write_text("import sys\nsys.modules['picows'] = None\n")
    settings = {**service_environment, "WS_PORT": str(free_port())}
    path = f"{tmp_path}:{':'.join(sys.path)}"
    with Launched(tmp_path, "tests.framework.probe:create", **settings, PYTHONPATH=path) as launched:
        assert launched.ended() == 2
    assert "WS_PORT needs the package picows, which starpost[picows] brings" in launched.output.read_text()


def envelope(pkg_id: int, data: Any = None) -> bytes:
    """A packet in a client's frame."""
    return frame(TEXT, json.dumps({"pkg_id": pkg_id, "req_id": str(uuid4()), "data": data or {}}).encode())


@asynccontextmanager
async def raw_socket(port: int, token: str) -> AsyncIterator[Raw]:
    """A socket as bytes, behind the handshake."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(handshake(GOOD | {"Host": f"127.0.0.1:{port}", "Authorization": f"Bearer {token}"}))
    await reader.readuntil(b"\r\n\r\n")
    try:
        yield Raw(reader, writer)
    finally:
        writer.close()
        await writer.wait_closed()


async def test_packets_of_one_read_keep_their_order(door: Launched, token: str) -> None:
    """Also where one of them waits, and those behind it would not."""
    async with raw_socket(door.port, token) as raw:
        names = [f"n{number}" for number in range(40)]
        packets = [envelope(ProbeID.ECHO, {"name": name}) for name in names]
        packets.insert(20, envelope(ProbeID.SLEEP, {"seconds": 0.1}))
        raw.send(*packets)
        replies = [json.loads((await raw.receive())[1]) for _ in packets]
        assert [reply["pkg_id"] for reply in replies].index(ProbeID.SLEEP) == 20
        del replies[20]
        assert [reply["data"]["name"] for reply in replies] == names


async def test_replies_to_one_read_leave_in_one_write(door: Launched, token: str) -> None:
    async with raw_socket(door.port, token) as raw:
        raw.send(envelope(ProbeID.ECHO, {"name": "before"}))
        await raw.receive()
        # They fit into the buffer that a socket has at first.
        raw.send(*[envelope(ProbeID.ECHO, {"name": f"n{number}"}) for number in range(8)], frame(PING_FRAME, b"last"))
        async with asyncio.timeout(PATIENCE):
            first = await raw.reader.read(65_536)
        assert first.count(b'"status_code":0') == 8, "one segment has them all"
        rest = first.rpartition(b"}")[2]
        while b"last" not in rest:
            rest += await raw.reader.read(100)
        assert rest == bytes((0x80 | PONG, 4)) + b"last", "behind all that came before it"
