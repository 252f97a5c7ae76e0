"""An application that repeats frames, behind a listener of the test's own loop, and sockets as bytes before it."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from starpost.sockets.listener import Listener
from starpost.testing.launched import PATIENCE
from starpost_dev.services.ports import free_port

MAX_BYTES = 100_000
TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10

App = Callable[[Any, Any, Any], Coroutine[Any, Any, None]]


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Every frame goes back as it came."""
    await receive()
    await send({"type": "websocket.accept", "subprotocol": None})
    while (message := await receive())["type"] != "websocket.disconnect":
        await send(message | {"type": "websocket.send"})


@asynccontextmanager
async def listening(app: App = echo, *, max_message_bytes: int = MAX_BYTES) -> AsyncIterator[int]:
    """The port of a listener."""
    port = free_port()
    async with Listener(app, path="/web", host="127.0.0.1", port=port, max_message_bytes=max_message_bytes):
        yield port


GOOD = {
    "Host": "127.0.0.1",
    "Connection": "keep-alive, Upgrade",  # as Firefox writes it
    "Upgrade": "websocket",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


def handshake(headers: dict[str, str] | None = None, *, line: str = "GET /web HTTP/1.1") -> bytes:
    """A handshake as bytes."""
    fields = GOOD if headers is None else headers
    return "".join(f"{part}\r\n" for part in (line, *(f"{k}: {v}" for k, v in fields.items()), "")).encode("latin-1")


def frame(kind: int, payload: bytes = b"", *, fin: bool = True, reserved: int = 0, is_masked: bool = True) -> bytes:
    """A client's frame; its mask is zero, so that the payload can be read."""
    size = len(payload)
    mask = 0x80 if is_masked else 0
    head = bytes([(0x80 if fin else 0) | reserved << 4 | kind])
    if size < 126:
        head += bytes([mask | size])
    elif size < 65_536:
        head += bytes([mask | 126]) + size.to_bytes(2)
    else:
        head += bytes([mask | 127]) + size.to_bytes(8)
    return head + bytes(4 if is_masked else 0) + payload


class Raw:
    """A client that sends bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, *frames: bytes) -> None:
        self.writer.write(b"".join(frames))

    async def receive(self) -> tuple[int, bytes]:
        """The next frame of the server: kind and payload."""
        async with asyncio.timeout(PATIENCE):
            first, size = await self.reader.readexactly(2)
            if size == 126:
                (size,) = struct.unpack("!H", await self.reader.readexactly(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", await self.reader.readexactly(8))
            return first & 0xF, await self.reader.readexactly(size)

    async def closed(self) -> int:
        """The code of the server's close frame, behind what comes before it; then the socket has to end."""
        while True:
            kind, payload = await self.receive()
            if kind == CLOSE:
                break
        self.send(frame(CLOSE, payload[:2]))
        async with asyncio.timeout(PATIENCE):
            assert await self.reader.read() == b""
        return int.from_bytes(payload[:2])


@asynccontextmanager
async def raw(port: int, request: bytes | None = None) -> AsyncIterator[Raw]:
    """A socket whose handshake has been accepted."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(handshake() if request is None else request)
        async with asyncio.timeout(PATIENCE):
            head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        yield Raw(reader, writer)
    finally:
        writer.close()


async def answer(port: int, request: bytes) -> tuple[int, bytes]:
    """The answer to a handshake that is refused: status, and all of its bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        async with asyncio.timeout(PATIENCE):
            answer = await reader.read()
    finally:
        writer.close()
    return int(answer.split(b" ", 2)[1]), answer
