"""HTTP/1.1 clients on keep-alive connections, which send as fast as the server answers (RFC 9112)."""

import asyncio
from typing import Final, cast

from bench.loads.window import Tally, Throughput, watch
from bench.server import Server

_END_OF_HEAD: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length:"


class _Client(asyncio.Protocol):
    """Client of one connection, which repeats its request when the whole answer has arrived."""

    def __init__(self, tally: Tally, request: bytes) -> None:
        self._tally = tally
        self._request = request
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport. Nothing is sent before all clients are connected."""
        # uvloop's transports have the methods, but not the base class.
        self._transport = cast("asyncio.Transport", transport)

    def begin(self) -> None:
        """Send the request."""
        assert self._transport is not None
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Count a whole answer, send the request again."""
        self._buffer = buffer = self._buffer + data if self._buffer else data
        head, end, body = buffer.partition(_END_OF_HEAD)
        if not end or len(body) < _content_length(head):
            return
        self._buffer = b""
        if not head.startswith(b"HTTP/1.1 200 "):
            self._tally.refuse(f"answered {buffer[:500]!r}")
        self._tally.done += 1
        if self._tally.is_running:
            self.begin()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the measurement if the server closes the connection."""
        if self._tally.is_running:
            self._tally.refuse(f"disconnected: {exc}")

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()


def _content_length(head: bytes) -> int:
    _, name, rest = head.lower().partition(_LENGTH)
    return int(rest.split(b"\r\n", 1)[0]) if name else 0


async def saturate(server: Server, path: str, token: str, *, connections: int, seconds: float) -> Throughput:
    """GET the path with the token on each connection, one request at a time. Return requests per second.

    Raises:
        LoadError: An answer was not 200.
    """
    loop = asyncio.get_running_loop()
    tally = Tally()
    request = (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nAccept: application/json\r\n"
        f"Authorization: Bearer {token}\r\n\r\n"
    ).encode()
    clients = [_Client(tally, request) for _ in range(connections)]
    try:
        for client in clients:
            await loop.create_connection(lambda client=client: client, "127.0.0.1", server.port)  # type: ignore[misc]
        for client in clients:
            client.begin()
        return await watch(tally, server, seconds)
    finally:
        tally.is_running = False
        for client in clients:
            client.close()
        await asyncio.sleep(0.1)
