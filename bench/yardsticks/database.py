"""Raw asyncpg behind a bare ASGI socket: reads a page, creates an author. No token, no validation, no timeout."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import msgspec

from bench.numbers import PAGE
from bench.yardsticks.lifespan import ASGIApp, Receive, Scope, Send, live
from bench.yardsticks.statements import CREATE, encode_reply, make_pool, read_page
from starpost.server import DrainSignal
from starpost.settings import Settings


def create(drain: DrainSignal) -> ASGIApp:
    """The application: packets PAGE and CREATE, answered as the real ones are."""
    settings = Settings.load(dotenv=None)
    pool: asyncpg.Pool[asyncpg.Record]

    @asynccontextmanager
    async def opened() -> AsyncIterator[None]:
        """Open the pool."""
        nonlocal pool
        async with make_pool(settings) as pool:
            yield

    async def answer(request: dict[str, Any]) -> str:
        """Answer one packet."""
        data = request["data"]
        if request["pkg_id"] == PAGE:
            return encode_reply(request, *await read_page(pool, data["page"], data["per_page"]))
        return encode_reply(request, dict(await pool.fetchrow(CREATE, data["name"]) or {}))

    async def raw(scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket."""
        if scope["type"] == "lifespan":
            await live(receive, send, drain, opened())
            return
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            reply = await answer(msgspec.json.decode(message["text"]))
            await send({"type": "websocket.send", "text": reply})

    return raw
