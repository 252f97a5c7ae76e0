"""The listener's bounds: handshakes, what it reads ahead, what a client has not read, and the end."""

import asyncio
import logging
import os
import resource
import socket
import struct
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from starpost.sockets import channel as channel_module
from starpost.sockets import listener as listener_module
from starpost.sockets.listener import Listener
from starpost.testing.launched import PATIENCE
from starpost_dev.services.ports import free_port
from tests.framework.sockets.echo import (
    CLOSE,
    GOOD,
    PING,
    PONG,
    TEXT,
    answer,
    echo,
    frame,
    handshake,
    listening,
    raw,
)

# ---- handshakes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (handshake(line="GET / HTTP/1.1"), 404),
        (handshake(line="GET /web/ HTTP/1.1"), 404),
        (handshake(line="GET /%77eb HTTP/1.1"), 404),
        (handshake(line="GET http://127.0.0.1/web HTTP/1.1"), 404),
        (handshake(line="GET //web HTTP/1.1"), 404),
        (handshake(line="GET /web#x HTTP/1.1"), 404),
        (handshake(line="GET /w\xe9b HTTP/1.1"), 404),
        (handshake(line="POST /web HTTP/1.1"), 400),
        (handshake(line="GET /web HTTP/1.0"), 400),
        (handshake({"Host": "a"}), 426),
        (handshake(GOOD | {"Upgrade": "h2c"}), 426),
        (handshake(GOOD | {"Connection": "close"}), 426),
        (handshake(GOOD | {"Sec-WebSocket-Version": "8"}), 426),
        (handshake(GOOD | {"Sec-WebSocket-Key": "short"}), 400),
        (handshake(GOOD | {"Sec-WebSocket-Key": "é"}), 400),
        (handshake(GOOD | {"Content-Length": "5"}), 400),
        (handshake(GOOD | {"Transfer-Encoding": "chunked"}), 400),
        (handshake(GOOD | {" Folded": "x"}), 400),
        (handshake(GOOD | {"sec-websocket-key": GOOD["Sec-WebSocket-Key"]}), 400),
        (handshake(GOOD | {"sec-websocket-version": "13"}), 426),
        (handshake(GOOD | {"X-\xe9": "1"}), 400),
        (handshake(GOOD | {"X-Name": "a\0b"}), 400),
        (handshake(GOOD | {"X-Name ": "a"}), 400),
        (handshake(GOOD | {f"X-{number}": "a" for number in range(200)}), 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"\x16\x03\x01\r\n\r\n", 400),
    ],
)
async def test_what_is_no_handshake(request_: bytes, status: int) -> None:
    async with listening() as port:
        assert (await answer(port, request_))[0] == status


async def test_what_is_needed_is_named() -> None:
    async with listening() as port:
        _, head = await answer(port, handshake(GOOD | {"Sec-WebSocket-Version": "8"}))
    assert b"Upgrade: websocket\r\n" in head
    assert b"Sec-Websocket-Version: 13\r\n" in head


async def test_headers_that_are_too_long() -> None:
    async with listening() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /web HTTP/1.1\r\nX: " + b"x" * 20_000)
        async with asyncio.timeout(PATIENCE):
            assert await reader.read() == b""
        writer.close()


async def test_the_scope() -> None:
    scopes: list[Any] = []

    async def note(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await echo(scope, receive, send)

    headers = GOOD | {"Sec-WebSocket-Protocol": "json , bearer.x,", "X-Name": "é"}
    async with listening(note) as port, raw(port, handshake(headers, line="GET /web?a=1&b=%20 HTTP/1.1")) as client:
        peer = client.writer.get_extra_info("sockname")
    [scope] = scopes
    assert scope["type"] == "websocket"
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/web", b"/web", b"a=1&b=%20")
    assert (scope["server"], scope["client"]) == (("127.0.0.1", port), peer)
    assert scope["subprotocols"] == ["json", "bearer.x"]
    assert (b"x-name", "é".encode("latin-1")) in scope["headers"]


async def refuse(scope: Any, receive: Any, send: Any) -> None:
    await send(
        {
            "type": "websocket.http.response.start",
            "status": 429,
            "headers": [(b"retry-after", b"1"), (b"content-length", b"2")],
        }
    )
    await send({"type": "websocket.http.response.body", "body": b"no"})


async def close(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "websocket.close"})


async def fail(scope: Any, receive: Any, send: Any) -> None:
    raise RuntimeError("the secret of the application")


async def wait(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.sleep(0.1)
    raise AssertionError("nobody drives it")


@pytest.mark.parametrize(("app", "status"), [(refuse, 429), (close, 403), (fail, 500), (wait, 500)])
async def test_what_the_application_refuses(app: Callable[..., Awaitable[None]], status: int) -> None:
    async with listening(app) as port:  # type: ignore[arg-type]
        found, head = await answer(port, handshake())
    assert found == status
    assert b"secret" not in head
    if app is refuse:
        assert b"Retry-After: 1\r\n" in head
        assert head.count(b"Content-Length: 2\r\n") == 1


async def test_a_fault_of_the_listener_is_logged_and_told_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("the secret of the listener")

    monkeypatch.setattr(listener_module, "scope_of", broken)
    with capture_logs() as lines:
        async with listening() as port:
            status, head = await answer(port, handshake())
    assert (status, b"secret" in head) == (500, False)
    assert [line["event"] for line in lines] == ["handshake_failed"]


async def test_of_too_many_without_a_handshake_the_oldest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener_module, "HANDSHAKES", 3)
    async with listening() as port:
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(4)]
        with pytest.raises(ConnectionError):
            async with asyncio.timeout(PATIENCE):
                if await idle[0][0].read() == b"":
                    raise ConnectionError
        async with raw(port) as client:
            client.send(frame(TEXT, b"a"))
            assert await client.receive() == (TEXT, b"a")
        for _, writer in idle:
            writer.close()


async def test_without_files_it_waits_for_one() -> None:
    """Who is in is served, and who waits is let in later. The log has a line for each second, not for each attempt."""
    loop = asyncio.get_running_loop()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with capture_logs() as lines:
        async with listening() as port, raw(port) as client:
            with socket.socket() as late:
                late.setblocking(False)
                first_free = os.dup(0)
                os.close(first_free)
                resource.setrlimit(resource.RLIMIT_NOFILE, (first_free, hard))
                try:
                    await loop.sock_connect(late, ("127.0.0.1", port))
                    for _ in range(100):
                        client.send(frame(TEXT, b"a"))
                        assert await client.receive() == (TEXT, b"a")
                finally:
                    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                await loop.sock_sendall(late, handshake())
                async with asyncio.timeout(PATIENCE):
                    assert (await loop.sock_recv(late, 12)) == b"HTTP/1.1 101"
    assert {line["event"] for line in lines} == {"connections_not_accepted"}
    assert len(lines) < 10


async def test_a_handshake_has_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener_module, "HANDSHAKE_TIMEOUT", 1.0)
    async with listening() as port, raw(port) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /web HTTP/1.1\r\n")
        with pytest.raises(ConnectionError):
            async with asyncio.timeout(PATIENCE):
                if await reader.read() == b"":
                    raise ConnectionError
        writer.close()
        # It was in time, and stays.
        client.send(frame(TEXT, b"a"))
        assert await client.receive() == (TEXT, b"a")


# ---- memory ----------------------------------------------------------------------------------------------------------


async def test_what_nobody_takes_is_not_read() -> None:
    """The application reads nothing: the kernel's buffers fill, and the client waits."""
    done = asyncio.Event()

    async def deaf(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": None})
        await done.wait()
        total = 0
        while total < 100 * 60_000:
            total += len((await receive())["bytes"])
        await send({"type": "websocket.send", "text": str(total)})

    async with listening(deaf) as port, raw(port) as client:
        for _ in range(100):
            client.send(frame(2, b"x" * 60_000))
        transport = client.writer.transport
        looks = [-1, transport.get_write_buffer_size()]
        # Until the kernel takes no more. If the server read on, nothing would be left.
        while looks[-1] != looks[-2]:
            await asyncio.sleep(0.2)
            looks.append(transport.get_write_buffer_size())
        assert looks[-1] > 0
        done.set()
        assert await client.receive() == (TEXT, b"6000000")


async def test_send_is_done_when_the_kernel_has_it() -> None:
    sent: list[Any] = []
    go_on = asyncio.Event()

    async def talk(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": None})
        sent.append(send({"type": "websocket.send", "text": "short"}))
        sent.append(send({"type": "websocket.send", "bytes": b"x" * 50_000_000}))
        # Cancelled, as by an outbox that has given up: the next one has a future of its own.
        sent.append(send({"type": "websocket.send", "text": "cancelled"}))
        sent[-1].cancel()
        sent.append(send({"type": "websocket.send", "text": "last"}))
        go_on.set()
        await receive()

    async with listening(talk) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(handshake())
        await asyncio.wait_for(go_on.wait(), PATIENCE)
        assert [each.done() for each in sent] == [True, False, True, False]
        async with asyncio.timeout(PATIENCE):
            while not sent[3].done():
                await reader.read(2**20)
        assert sent[1].done()
        writer.close()


async def test_pings_of_a_client_that_does_not_read_fill_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, have_come = asyncio.Event(), asyncio.Event()
    size = 20_000_000

    async def talk(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": None})
        send({"type": "websocket.send", "bytes": b"x" * size})
        go_on.set()
        assert (await receive())["text"] == "behind them"
        have_come.set()
        await receive()

    async with listening(talk) as port, raw(port) as client:
        await asyncio.wait_for(go_on.wait(), PATIENCE)
        for number in range(1000):
            client.send(frame(PING, b"%d" % number))
        client.send(frame(TEXT, b"behind them"))
        await asyncio.wait_for(have_come.wait(), PATIENCE)
        assert (await client.receive())[1] == b"x" * size
        # One answer for those that came while the frame was in the way.
        kind, payload = await client.receive()
        assert (kind, payload) == (PONG, b"999")


def segments_to(client: socket.socket) -> int:
    """Count the segments with data that have come (tcpi_data_segs_in, linux/tcp.h)."""
    return int.from_bytes(client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 156)[152:156], sys.byteorder)


async def test_pings_of_one_read_are_answered_by_one_write() -> None:
    """A write for each would hold up everybody: a read may hold ten thousand of them."""
    async with listening() as port, raw(port) as client:
        client.send(*[frame(PING, b"%d" % number) for number in range(1000)])
        assert [await client.receive() for _ in range(1000)] == [(PONG, b"%d" % number) for number in range(1000)]
        assert segments_to(client.writer.get_extra_info("socket")) < 50


# ---- the end ---------------------------------------------------------------------------------------------------------


async def test_who_does_not_answer_a_close_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_module, "CLOSE_WAIT", 0.2)

    async def leave(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": None})
        await send({"type": "websocket.close", "code": 4401, "reason": "token_expired"})

    async with listening(leave) as port, raw(port) as client:
        assert await client.receive() == (CLOSE, (4401).to_bytes(2) + b"token_expired")
        with pytest.raises(ConnectionError):
            async with asyncio.timeout(PATIENCE):
                if await client.reader.read() == b"":
                    raise ConnectionError


async def test_an_application_that_fails_closes_with_1011() -> None:
    async def crash(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": None})
        await receive()
        raise RuntimeError("the secret of the application")

    async with listening(crash) as port, raw(port) as client:
        client.send(frame(TEXT, b"a"))
        assert await client.closed() == 1011


async def test_the_application_hears_of_a_client_that_is_gone() -> None:
    heard: asyncio.Queue[Any] = asyncio.Queue()

    async def note(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": None})
        heard.put_nowait(await receive())
        # Nobody is there to hear it, and nobody minds.
        await send({"type": "websocket.send", "text": "late"})
        await send({"type": "websocket.close", "code": 1000})

    async with listening(note) as port, raw(port) as client:
        client.writer.transport.abort()
        message = await asyncio.wait_for(heard.get(), PATIENCE)
    assert message == {"type": "websocket.disconnect", "code": 1006, "reason": "", "is_refusal": False}


async def test_the_application_hears_once_of_a_client_that_breaks_the_protocol_again() -> None:
    heard: asyncio.Queue[Any] = asyncio.Queue()

    async def note(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": None})
        heard.put_nowait(await receive())

    async with listening(note) as port, raw(port) as client:
        # In one read: the application is awake for the first, and goes on when all have been looked at.
        client.send(frame(TEXT, b"a"), *[frame(TEXT, b"a", reserved=4)] * 2)
        message = await asyncio.wait_for(heard.get(), PATIENCE)
    assert message == {
        "type": "websocket.disconnect",
        "code": 1002,
        "reason": "protocol_error",
        "is_refusal": True,
    }


async def test_nothing_is_written_to_a_client_that_has_reset(caplog: pytest.LogCaptureFixture) -> None:
    """The transport would warn of each frame, and a client can bring about as many as it likes."""
    client = socket.socket()

    async def talk(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": None})
        await receive()
        # Within this turn of the loop: the listener hears of it by its first write.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        for _ in range(50):
            assert send({"type": "websocket.send", "text": "late"}).done()
        done.set()

    done = asyncio.Event()
    async with listening(talk) as port:
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, ("127.0.0.1", port))
        await loop.sock_sendall(client, handshake() + frame(TEXT, b"a"))
        await asyncio.wait_for(done.wait(), PATIENCE)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_pings_of_a_client_that_has_reset_are_not_answered(caplog: pytest.LogCaptureFixture) -> None:
    """The transport would warn of each, and one read may hold ten thousand of them."""
    client = socket.socket()
    done = asyncio.Event()

    async def talk(scope: Any, receive: Any, send: Any) -> None:
        def take(_: str | bytes) -> None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()

        await receive()
        await send({"type": "websocket.accept", "subprotocol": None})
        receive.__self__.deliver_to(take)
        await receive()
        done.set()

    async with listening(talk) as port:
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, ("127.0.0.1", port))
        await loop.sock_sendall(client, handshake())
        await loop.sock_recv(client, 1000)
        await loop.sock_sendall(client, frame(TEXT, b"a") + frame(PING) * 1000)
        await asyncio.wait_for(done.wait(), PATIENCE)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_listener_that_refuses_keeps_what_is_open() -> None:
    port = free_port()
    listener = Listener(echo, path="/web", host="127.0.0.1", port=port, max_message_bytes=1000)
    async with listener, raw(port) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(0.1)
        listener.refuse()
        writer.write(handshake())
        async with asyncio.timeout(PATIENCE):
            assert (await reader.read()).startswith(b"HTTP/1.1 503 ")
        writer.close()
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", port)
        client.send(frame(TEXT, b"a"))
        assert await client.receive() == (TEXT, b"a")


async def test_who_waits_to_be_accepted_is_told_that_nobody_is() -> None:
    """The kernel would reset the connection."""
    port = free_port()
    listener = Listener(echo, path="/web", host="127.0.0.1", port=port, max_message_bytes=1000)
    async with listener:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(handshake())
            # Before the loop has looked at the listening socket.
            listener.refuse()
            client.setblocking(False)
            async with asyncio.timeout(PATIENCE):
                assert (await asyncio.get_running_loop().sock_recv(client, 12)) == b"HTTP/1.1 503"


async def test_what_is_gathered_for_one_write_is_bounded() -> None:
    """Many large answers to one read are written in between, and the kernel's answer to that is told."""
    were_taken: list[bool] = []

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        def take(_: str | bytes) -> None:
            were_taken.append(send({"type": "websocket.send", "bytes": bytes(60_000)}).done())

        await receive()
        await send({"type": "websocket.accept", "subprotocol": None})
        receive.__self__.deliver_to(take)
        while (await receive())["type"] != "websocket.disconnect":
            pass

    async with listening(app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(handshake())
        await reader.readuntil(b"\r\n\r\n")
        # A first frame for itself: what comes with the handshake is read by the application's own task.
        writer.write(frame(TEXT, b"first"))
        await reader.readexactly(60_000)
        # One segment, and a client that reads no more.
        writer.write(frame(TEXT, b"next") * 2000)
        async with asyncio.timeout(PATIENCE):
            while len(were_taken) < 2001:  # noqa: ASYNC110 - the listener says nothing
                await asyncio.sleep(0.01)
        writer.transport.abort()
    assert were_taken[0]
    assert not were_taken[-1], "120 MB are more than a kernel takes"
