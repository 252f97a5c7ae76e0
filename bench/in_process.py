"""Harness that runs the application without a server, for the profile, by ASGI 3.0 messages.

Many clients run at once, as in the bench: while one waits for the database the others run, so the core is never idle.
Each sends when it has the reply to what it sent before.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from cProfile import Profile
from itertools import repeat
from typing import Any

from litestar import Litestar

from bench.packets import Frames

Send = Callable[[Litestar, str, int, Profile | None], Awaitable[float]]
"""Makes the application answer ``count`` times for the token's user, and returns the processor seconds for all."""


class RefusedError(Exception):
    """The application refused, so the answers are not those to profile."""


class _Clock:
    """Clock that runs, with the profiler, from when all clients are ready until the last one is done."""

    def __init__(self, clients: int, profiler: Profile | None) -> None:
        self._missing = clients
        self._running = clients
        self._profiler = profiler
        self._all_here = asyncio.Event()
        self._began = 0.0
        self.spent = 0.0

    async def begin(self) -> None:
        """Wait until all clients are ready."""
        self._missing -= 1
        if not self._missing:
            self._all_here.set()
            self._began = time.process_time()
            if self._profiler is not None:
                self._profiler.enable()
        await self._all_here.wait()

    def end(self) -> None:
        """Count a client that is done."""
        self._running -= 1
        if not self._running:
            if self._profiler is not None:
                self._profiler.disable()
            self.spent = time.process_time() - self._began


def packets(frames: Frames, *, sockets: int) -> Send:
    """Return a function that sends the first text frame repeatedly, over several sockets that share the count."""
    text = next(frames.sequence).decode()

    async def send_all(app: Litestar, token: str, count: int, profiler: Profile | None) -> float:
        """Send ``count`` frames."""
        return await _all(sockets, count, profiler, lambda share, clock: _socket(app, token, text, share, clock))

    return send_all


async def _socket(app: Litestar, token: str, text: str, count: int, clock: _Clock) -> None:
    last: dict[str, Any] = {}
    answered = asyncio.Event()

    async def messages() -> AsyncIterator[dict[str, Any]]:
        yield {"type": "websocket.connect"}
        await clock.begin()
        for message in repeat({"type": "websocket.receive", "text": text}, count):
            answered.clear()
            yield message
            # The application reads on while a handler waits.
            await answered.wait()
        clock.end()
        while True:
            yield {"type": "websocket.disconnect", "code": 1000}

    sequence = messages()

    async def receive() -> dict[str, Any]:
        return await anext(sequence)

    async def send(message: dict[str, Any]) -> None:
        nonlocal last
        last = message
        answered.set()

    await app(_scope("websocket", "/web", "", token), receive, send)  # type: ignore[arg-type]
    if '"status_code":0' not in last.get("text", ""):
        raise RefusedError(f"the packets were refused: {last}")


def requests(path: str, *, clients: int) -> Send:
    """Return a function that sends GET requests from several clients, which share the count."""

    async def send_all(app: Litestar, token: str, count: int, profiler: Profile | None) -> float:
        """Send ``count`` requests."""
        return await _all(clients, count, profiler, lambda share, clock: _client(app, token, path, share, clock))

    return send_all


async def _client(app: Litestar, token: str, path: str, count: int, clock: _Clock) -> None:
    bare, _, query = path.partition("?")
    scopes = [_scope("http", bare, query, token) for _ in range(count)]
    statuses: set[int] = set()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if "status" in message:
            statuses.add(message["status"])

    await clock.begin()
    for scope in scopes:
        await app(scope, receive, send)  # type: ignore[arg-type]
    clock.end()
    if statuses != {200}:
        raise RefusedError(f"the requests were answered with {statuses}")


async def _all(
    clients: int, count: int, profiler: Profile | None, client: Callable[[int, _Clock], Awaitable[None]]
) -> float:
    """Run several clients, which share the count."""
    clock = _Clock(clients, profiler)
    await asyncio.gather(*(client(len(range(first, count, clients)), clock) for first in range(clients)))
    return clock.spent


def _scope(kind: str, path: str, query: str, token: str) -> dict[str, Any]:
    scope: dict[str, Any] = {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [
            (b"host", b"127.0.0.1"),
            (b"accept", b"application/json"),
            (b"authorization", f"Bearer {token}".encode()),
        ],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "state": {},
        "extensions": {},
    }
    if kind == "websocket":
        return scope | {"scheme": "ws", "subprotocols": []}
    return scope | {"scheme": "http", "method": "GET"}
