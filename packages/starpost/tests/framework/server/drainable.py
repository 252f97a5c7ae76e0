"""A small application for the launcher's tests: a socket that drains, a slow request, a worker that can die.

It is bare ASGI, as the launcher takes any: nearly every test starts it, and a framework would be most of each start.
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from granian.server import mp

from starpost.server import DrainSignal

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
                await self._hold(scope, receive, send)
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

    async def _hold(self, scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        # Before the client hears of it: a drain that comes then must wait for this socket.
        self._sockets += 1
        await send({"type": "websocket.accept"})
        if scope["query_string"] == b"pid":
            await send({"type": "websocket.send", "text": str(os.getpid())})
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


def create_while_allowed(drain: DrainSignal) -> Drainable:
    """Cannot be made while there is a file ``refuse`` in the folder ``MARKS``."""
    if _mark("refuse").exists():
        return fail(drain)
    return Drainable(drain)


def create_one(drain: DrainSignal) -> Drainable:
    """The first worker starts; the second fails when there is a file ``fail`` in the folder ``MARKS``."""
    try:
        _mark("first").touch(exist_ok=False)
    except FileExistsError:
        _wait_for("fail")
        return fail(drain)
    return Drainable(drain)


class TurnsAway(Drainable):
    """Says that it is drained when there is a file ``done``, whatever sockets are left.

    A socket that comes after the request is closed when there is a file ``close``, both in the folder ``MARKS``.
    """

    async def _empty(self) -> None:
        await self._drain.requested.wait()
        await _until("done")
        self._drain.done()

    async def _hold(self, _scope: Any, _receive: Any, send: Any) -> None:
        if self._drain.is_requested:
            await send({"type": "websocket.accept"})
            await _until("close")
            await send({"type": "websocket.close", "code": 1012, "reason": "restart"})


def turn_away(drain: DrainSignal) -> TurnsAway:
    """An application that is done before its last socket."""
    return TurnsAway(drain)


class StartedLate(Drainable):
    """Its lifespan waits for a file ``serve`` in the folder ``MARKS``."""

    async def _live(self, receive: Any, send: Any) -> None:
        _mark("up").touch()
        await _until("serve")
        await super()._live(receive, send)


def start_late(drain: DrainSignal) -> StartedLate:
    """An application whose start takes its time."""
    return StartedLate(drain)


def serve_late(drain: DrainSignal) -> Drainable:
    """Between the start of the lifespan and serving, wait for a file ``serve`` in the folder ``MARKS``.

    There Granian makes its scheduler, and the loop does not run. Files tell which signals have come.
    """
    make_scheduler: Any = mp._new_cbscheduler  # type: ignore[attr-defined]

    def held(*args: Any, **options: Any) -> Any:
        for number in (signal.SIGUSR1, signal.SIGTERM):
            _tell_of(number)
        _mark("up").touch()
        _wait_for("serve")
        return make_scheduler(*args, **options)

    mp._new_cbscheduler = held  # type: ignore[attr-defined]
    return Drainable(drain)


def _tell_of(number: signal.Signals) -> None:
    before: Any = signal.getsignal(number)

    def telling(*args: Any) -> None:
        before(*args)
        _mark(number.name).touch()

    signal.signal(number, telling)


def _mark(name: str) -> Path:
    return Path(os.environ["MARKS"], name)


def _wait_for(name: str) -> None:
    while not _mark(name).exists():
        time.sleep(0.01)


async def _until(name: str) -> None:
    while not _mark(name).exists():  # noqa: ASYNC110 - the event is in another process
        await asyncio.sleep(0.01)
