"""Bare broadcast: every frame goes to all clients. No subscriptions, no history, no other workers."""

from contextlib import nullcontext

from bench.yardsticks.lifespan import ASGIApp, Receive, Scope, Send, live
from starpost.server import DrainSignal


def create(drain: DrainSignal) -> ASGIApp:
    """The application."""
    clients: set[Send] = set()

    async def broadcast(scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket."""
        if scope["type"] == "lifespan":
            await live(receive, send, drain, nullcontext())
            return
        await receive()
        subprotocols = scope.get("subprotocols")
        await send({"type": "websocket.accept", "subprotocol": subprotocols[0] if subprotocols else None})
        clients.add(send)
        try:
            while True:
                message = await receive()
                if message["type"] == "websocket.disconnect":
                    return
                # All begun, then all waited for: the quickest there is.
                for sent in [client({"type": "websocket.send", "text": message["text"]}) for client in clients]:
                    await sent
        finally:
            clients.discard(send)

    return broadcast
