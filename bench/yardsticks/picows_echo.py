"""A bare picows echo at ``WS_PORT``, on the loop of a worker: what the second door's own server costs."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from picows import (
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_create_server,
)

from bench.yardsticks.lifespan import ASGIApp, Receive, Scope, Send, live
from starpost.server import DrainSignal


class _Client(WSListener):
    """One client of the echo, or of the broadcast."""

    def __init__(self, everybody: set[WSTransport] | None) -> None:
        self._everybody = everybody

    def on_ws_connected(self, transport: WSTransport) -> None:
        if self._everybody is not None:
            self._everybody.add(transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close()
            transport.disconnect()
            return
        payload = frame.get_payload_as_bytes()
        for client in (transport,) if self._everybody is None else self._everybody:
            client.send(frame.msg_type, payload)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if self._everybody is not None:
            self._everybody.discard(transport)


@asynccontextmanager
async def _listening(everybody: set[WSTransport] | None) -> AsyncIterator[None]:
    def accept(request: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
        offered = request.headers.get("sec-websocket-protocol")
        headers = {"Sec-WebSocket-Protocol": offered.split(",")[0].strip()} if offered else None
        return WSUpgradeResponseWithListener(WSUpgradeResponse.create_101_response(headers), _Client(everybody))

    server = await ws_create_server(accept, "127.0.0.1", int(os.environ["WS_PORT"]), reuse_port=True, backlog=2048)
    try:
        yield
    finally:
        server.close()


def _application(drain: DrainSignal, everybody: set[WSTransport] | None) -> ASGIApp:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await live(receive, send, drain, _listening(everybody))

    return application


def create(drain: DrainSignal) -> ASGIApp:
    """Make the echo: every frame goes back as it came."""
    return _application(drain, None)


def broadcast(drain: DrainSignal) -> ASGIApp:
    """Make the broadcast: every frame goes to all clients."""
    return _application(drain, set())
