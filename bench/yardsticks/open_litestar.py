"""Litestar as it comes: handlers that are open to everybody, without middleware, guard, log or metrics."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar, get

from bench.shapes import Small
from bench.yardsticks.lifespan import drained_at_once
from bench.yardsticks.statements import make_pool, read_page
from starpost.server import DrainSignal
from starpost.settings import Settings


def create(drain: DrainSignal) -> Litestar:
    """``/bench/small`` answers a struct, ``/authors`` a page that raw asyncpg read."""
    pool = make_pool(Settings.load(dotenv=None))

    @asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncIterator[None]:
        """Open the pool."""
        async with pool, drained_at_once(drain):
            yield

    @get("/bench/small")
    async def small() -> Small:
        """A small object."""
        return Small("ok", 1)

    @get("/authors")
    async def authors(page: int = 1, per_page: int = 20) -> dict[str, Any]:
        """A page of authors."""
        items, meta = await read_page(pool, page, per_page)
        return {"items": items, "meta": meta}

    return Litestar([small, authors], lifespan=[lifespan], openapi_config=None, logging_config=None)
