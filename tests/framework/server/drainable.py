"""A small application for the launcher's tests: a socket that drains, a slow request, a worker that can die.

It is bare ASGI, as the launcher takes any: nearly every test starts it, and a framework would be most of each start.
"""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from app.framework.server import DrainSignal

Routes = dict[str, Callable[..., Any]]


class Drainable:
    """Sockets are closed with 1012 when asked to drain; ``DRAIN_STUCK`` never says that it is done."""

    def __init__(self, drain: DrainSignal) -> None:
        self._drain = drain
        self._sockets = 0
        self._emptied = asyncio.Event()
        self._slow_ones = 0
        self._routes: Routes = {"/pid": self._pid, "/slow": self._slow, "/running": self._running, "/die": self._die}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        match scope["type"]:
            case "lifespan":
                await self._live(receive, send)
            case "websocket":
                await self._hold(receive, send)
            case "http":
                await self._answer(scope, send)

    async def _live(self, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "lifespan.startup"
        task = asyncio.create_task(self._empty())
        async with self._drain.watched():
            await send({"type": "lifespan.startup.complete"})
            assert (await receive())["type"] == "lifespan.shutdown"
        task.cancel()
        if marks := os.environ.get("SHUTDOWN_MARKS"):
            Path(marks, str(os.getpid())).touch()  # noqa: ASYNC240 - the process ends here
        await send({"type": "lifespan.shutdown.complete"})

    async def _empty(self) -> None:
        await self._drain.requested.wait()
        if os.environ.get("DRAIN_STUCK"):
            return
        if self._sockets:
            await self._emptied.wait()
        self._drain.done()

    async def _hold(self, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        self._sockets += 1
        reader = asyncio.ensure_future(receive())
        stop = asyncio.create_task(self._drain.requested.wait())
        await asyncio.wait({reader, stop}, return_when=asyncio.FIRST_COMPLETED)
        if self._drain.is_requested:
            reader.cancel()
            await send({"type": "websocket.close", "code": 1012, "reason": "restart"})
        stop.cancel()
        self._sockets -= 1
        if not self._sockets:
            self._emptied.set()

    async def _answer(self, scope: Any, send: Any) -> None:
        options = dict(parse_qsl(scope["query_string"].decode()))
        body = str(await self._routes[scope["path"]](**options)).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": body})

    async def _pid(self) -> int:
        return os.getpid()

    async def _slow(self, seconds: str) -> str:
        self._slow_ones += 1
        await asyncio.sleep(float(seconds))
        return "done"

    async def _running(self) -> int:
        return self._slow_ones

    async def _die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def create(drain: DrainSignal) -> Drainable:
    """The application of most tests."""
    return Drainable(drain)


def fail(drain: DrainSignal) -> Drainable:
    """Never gets to be an application."""
    msg = "the table is wrong"
    raise RuntimeError(msg)
