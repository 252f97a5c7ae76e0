"""The lifespan protocol for yardsticks that are bare ASGI functions."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from starpost.server import DrainSignal

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]


@asynccontextmanager
async def drained_at_once(drain: DrainSignal) -> AsyncIterator[None]:
    """Report the drain as done as soon as the launcher asks: a yardstick has no sockets to close."""

    async def grant() -> None:
        """Let the waiters go on."""
        await drain.requested.wait()
        drain.done()

    async with drain.watched():
        granting = asyncio.create_task(grant())
        try:
            yield
        finally:
            granting.cancel()


async def live(receive: Receive, send: Send, drain: DrainSignal, part: AbstractAsyncContextManager[object]) -> None:
    """Answer the server's start and stop, with ``part`` open in between."""
    await receive()
    async with part, drained_at_once(drain):
        await send({"type": "lifespan.startup.complete"})
        await receive()
    await send({"type": "lifespan.shutdown.complete"})
