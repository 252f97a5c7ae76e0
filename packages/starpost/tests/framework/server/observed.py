"""Applications in the framework, for what the launcher promises them: numbers of all workers, faults in one line."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from litestar import Litestar, get

from starpost.errors import StartError
from starpost.http.middleware import wrap
from starpost.observability.access_log import AccessLog
from starpost.observability.health import Readiness
from starpost.observability.http import HTTPObserver
from starpost.observability.metrics import Metrics
from starpost.observability.peers import MetricsPeers
from starpost.observability.routes import observability_routes
from starpost.observability.security_log import SecurityLog
from starpost.server import DrainSignal


@get("/pid")
async def pid() -> int:
    return os.getpid()


def create(drain: DrainSignal) -> Litestar:
    """Counts its requests, and answers for the other workers too."""
    metrics = Metrics()
    peers = MetricsPeers.of_launcher(metrics)

    async def empty() -> None:
        await drain.requested.wait()
        drain.done()

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        task = asyncio.create_task(empty())
        await peers.open()
        async with drain.watched():
            yield
        await peers.close()
        task.cancel()

    access = AccessLog()
    app = Litestar(
        [pid, *observability_routes(Readiness(), peers)],
        lifespan=[lifespan],
        on_shutdown=[access.flush],
        logging_config=None,
    )
    wrap(app, [partial(HTTPObserver, metrics=metrics, security=SecurityLog(metrics.security_event), access=access)])
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
