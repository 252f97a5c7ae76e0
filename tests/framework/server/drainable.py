"""A small application for the launcher's tests: a socket that drains, a slow request, a worker that can die."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from litestar import Litestar, WebSocket, get, post, websocket
from litestar.params import FromQuery

from app.framework.errors import StartError
from app.framework.observability.health import Readiness
from app.framework.observability.http import observe
from app.framework.observability.metrics import Metrics
from app.framework.observability.peers import MetricsPeers
from app.framework.observability.routes import observability_routes
from app.framework.server import DrainSignal

Socket = WebSocket[Any, Any, Any]
_slow_ones: list[float] = []


@get("/pid")
async def pid() -> int:
    return os.getpid()


@get("/slow")
async def slow(seconds: FromQuery[float]) -> str:
    _slow_ones.append(seconds)
    await asyncio.sleep(seconds)
    return "done"


@get("/running")
async def running() -> int:
    return len(_slow_ones)


@post("/die")
async def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


ROUTES = [pid, slow, running, die]


def create(drain: DrainSignal) -> Litestar:
    """Sockets are closed with 1012 when asked to drain; ``DRAIN_STUCK`` never says that it is done."""
    sockets: set[Socket] = set()
    emptied = asyncio.Event()

    @websocket("/ws")
    async def ws(socket: Socket) -> None:
        await socket.accept()
        sockets.add(socket)
        reader = asyncio.ensure_future(socket.receive())
        stop = asyncio.create_task(drain.requested.wait())
        await asyncio.wait({reader, stop}, return_when=asyncio.FIRST_COMPLETED)
        if drain.is_requested:
            reader.cancel()
            await socket.close(1012, "restart")
        stop.cancel()
        sockets.discard(socket)
        if not sockets:
            emptied.set()

    async def empty() -> None:
        await drain.requested.wait()
        if os.environ.get("DRAIN_STUCK"):
            return
        if sockets:
            await emptied.wait()
        drain.done()

    metrics = Metrics()
    peers = MetricsPeers.of_launcher(metrics)

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        task = asyncio.create_task(empty())
        await peers.open()
        async with drain.watched():
            yield
        await peers.close()
        task.cancel()
        if marks := os.environ.get("SHUTDOWN_MARKS"):
            Path(marks, str(os.getpid())).touch()  # noqa: ASYNC240 - the process ends here

    routes = observability_routes(Readiness(), peers)
    app = Litestar([ws, *ROUTES, *routes], lifespan=[lifespan], logging_config=None)
    observe(app, metrics)
    return app


async def _find_the_database_away() -> None:
    msg = "the database is away"
    raise StartError(msg)


def refuse(drain: DrainSignal) -> Litestar:
    """Starts and finds that a service is away."""

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            await group.create_task(_find_the_database_away())
            yield

    return Litestar([], lifespan=[lifespan], logging_config=None)


def fail(drain: DrainSignal) -> Litestar:
    """Never gets to be an application."""
    msg = "the table is wrong"
    raise RuntimeError(msg)
