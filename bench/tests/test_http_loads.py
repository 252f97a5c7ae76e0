"""Both HTTP loads against a server that counts: what they report is what it saw."""

import asyncio
from collections.abc import AsyncIterator
from types import ModuleType
from typing import Final

import pytest

from bench.loads import http, wrk
from bench.loads.window import LoadError
from bench.server import Server

CONNECTIONS: Final = 3

LOADS = [
    http,
    pytest.param(wrk, marks=pytest.mark.skipif(wrk.PROGRAM is None, reason="wrk is not installed")),
]


class CountingServer(Server):
    """Answers in this process; no application, so no processor time."""

    def __init__(self) -> None:
        self.status = "200 OK"
        self.heads: list[bytes] = []
        self.connections = 0
        self.is_asked = asyncio.Event()

    def cpu_seconds(self) -> float:
        return 0.0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                self.is_asked.set()
                writer.write(f"HTTP/1.1 {self.status}\r\nContent-Length: 2\r\n\r\n{{}}".encode())
        except (asyncio.IncompleteReadError, ConnectionResetError):
            writer.close()


@pytest.fixture
async def server() -> AsyncIterator[CountingServer]:
    server = CountingServer()
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
        server.port = listening.sockets[0].getsockname()[1]
        yield server


@pytest.mark.parametrize("load", LOADS)
async def test_every_request_is_the_one_that_was_asked_for(load: ModuleType, server: CountingServer) -> None:
    seen = await load.saturate(server, "/x?a=1&b=%20", "a.b-c_d", connections=CONNECTIONS, seconds=1)
    assert server.connections >= CONNECTIONS  # wrk asks once more, to see whether somebody is there
    assert 0 < seen.rate <= len(server.heads)
    for head in set(server.heads):
        assert head.startswith(b"GET /x?a=1&b=%20 HTTP/1.1\r\n")
        assert b"Authorization: Bearer a.b-c_d\r\n" in head
        assert b"Accept: application/json\r\n" in head


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("status", ["401 Unauthorized", "503 Service Unavailable"])
async def test_refusals_are_no_result(load: ModuleType, status: str, server: CountingServer) -> None:
    server.status = status
    with pytest.raises(LoadError):
        await load.saturate(server, "/", "t", connections=CONNECTIONS, seconds=0.1)


@pytest.mark.parametrize("load", LOADS)
async def test_nobody_there_is_no_result(load: ModuleType, server: CountingServer) -> None:
    server.port = 1  # reserved, and nobody's
    with pytest.raises((LoadError, OSError)):
        await load.saturate(server, "/", "t", connections=CONNECTIONS, seconds=1)


@pytest.mark.skipif(wrk.PROGRAM is None, reason="wrk is not installed")
async def test_wrk_ends_with_whom_it_is_for(server: CountingServer) -> None:
    load = asyncio.create_task(wrk.saturate(server, "/", "t", connections=CONNECTIONS, seconds=60))
    await server.is_asked.wait()
    load.cancel()
    with pytest.raises(asyncio.CancelledError):
        await load
    seen = -1
    async with asyncio.timeout(100):
        while seen != len(server.heads):
            seen = len(server.heads)
            await asyncio.sleep(0.2)
