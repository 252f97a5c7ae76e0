"""Memory of sockets that are idle: Python's allocations, counted, so that a number of bytes is the same everywhere."""

import asyncio
import gc
import socket
import tracemalloc
from contextlib import ExitStack
from typing import Any

from starpost.connections.transport import forget_handshake
from starpost.header_fields import fields_of
from starpost.testing.launched import PATIENCE
from tests.framework.sockets.echo import GOOD, handshake, listening

SOCKETS = 200
TOKEN = "t" * 1000

BOUND = 16_600
"""Bytes of a socket, most of them its transport's: 15,500. With the header fields in its scope 17,800."""


async def test_an_idle_socket_keeps_nothing_of_its_handshake() -> None:
    accepted = asyncio.Event()
    count = 0

    async def application(scope: Any, receive: Any, send: Any) -> None:
        """Read the header fields, accept, forget as the endpoint does, and wait."""
        nonlocal count
        assert fields_of(scope)[b"authorization"]
        await receive()
        await send({"type": "websocket.accept", "subprotocol": None})
        forget_handshake(scope)
        count += 1
        accepted.set()
        await receive()

    async def join(port: int, sockets: ExitStack) -> None:
        client = sockets.enter_context(socket.socket())
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, ("127.0.0.1", port))
        await loop.sock_sendall(client, handshake(GOOD | {"Authorization": f"Bearer {TOKEN}"}))
        assert (await loop.sock_recv(client, 4096)).startswith(b"HTTP/1.1 101 ")

    async with asyncio.timeout(PATIENCE), listening(application) as port:
        with ExitStack() as sockets:
            tracemalloc.start()
            try:
                for _ in range(20):
                    await join(port, sockets)
                gc.collect()
                before, _ = tracemalloc.get_traced_memory()
                for _ in range(SOCKETS):
                    await join(port, sockets)
                while count < SOCKETS + 20:
                    accepted.clear()
                    await accepted.wait()
                gc.collect()
                after, _ = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
    assert (after - before) / SOCKETS < BOUND
