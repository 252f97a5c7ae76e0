"""Bare ASGI echo: the cost of the server itself. No parsing, no authentication."""

from contextlib import nullcontext

from bench.yardsticks.lifespan import ASGIApp, Receive, Scope, Send, live
from starpost.server import DrainSignal


def create(drain: DrainSignal) -> ASGIApp:
    """The application: every frame goes back as it came."""

    async def echo(scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket."""
        if scope["type"] == "lifespan":
            await live(receive, send, drain, nullcontext())
            return
        await receive()
        subprotocols = scope.get("subprotocols")
        await send({"type": "websocket.accept", "subprotocol": subprotocols[0] if subprotocols else None})
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            if text is None:
                await send({"type": "websocket.send", "bytes": message["bytes"]})
            else:
                await send({"type": "websocket.send", "text": text})

    return echo
