"""Client of the socket for tests: sends packets, waits for their replies, keeps packets that the server pushes."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal
from uuid import uuid4

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

NIL = "00000000-0000-0000-0000-000000000000"
PATIENCE = 100.0


class PacketClient:
    """Client of one connection."""

    def __init__(self, socket: ClientConnection, codec: Literal["json", "msgpack"]) -> None:
        self.socket = socket
        self.codec = codec
        self.pushed: deque[Any] = deque()

    async def send_frame(self, frame: str | bytes) -> None:
        """Send a frame as it is."""
        await self.socket.send(frame)

    async def send(self, pkg_id: int, data: Any = None, **members: Any) -> str:
        """Send a packet without waiting for the reply, and return its ``req_id``."""
        req_id = members.pop("req_id", None) or str(uuid4())
        await self.send_value({"pkg_id": pkg_id, "req_id": req_id, "data": data} | members)
        return req_id

    async def send_value(self, value: Any) -> None:
        """Encode and send any value."""
        await self.socket.send(json.dumps(value) if self.codec == "json" else msgspec.msgpack.encode(value))

    async def receive(self) -> Any:
        """Return the next frame, decoded.

        Raises:
            ConnectionClosed: The server has closed the connection.
        """
        frame = await asyncio.wait_for(self.socket.recv(), PATIENCE)
        assert isinstance(frame, str) == (self.codec == "json"), "frame type and codec belong together"
        return json.loads(frame) if isinstance(frame, str) else msgspec.msgpack.decode(frame)

    async def reply_to(self, req_id: str) -> Any:
        """Wait for the reply to a packet. Pushes that arrive before go to ``pushed``; another reply fails the test."""
        while True:
            packet = await self.receive()
            if _is_array_of_events(packet):
                self.pushed += packet
                continue
            if isinstance(packet, list) or packet["req_id"] == req_id:
                return packet
            assert packet["req_id"] == NIL, f"a reply nobody waits for: {packet}"
            self.pushed.append(packet)

    async def ask(self, pkg_id: int, data: Any = None, **members: Any) -> Any:
        """Send a packet and wait for its reply."""
        return await self.reply_to(await self.send(pkg_id, data, **members))

    async def next_push(self, pkg_id: int) -> Any:
        """Wait for the next push with this number, and drop others."""
        while True:
            packet = self.pushed.popleft() if self.pushed else await self.receive()
            if _is_array_of_events(packet):
                self.pushed += packet
                continue
            if packet["pkg_id"] == pkg_id and packet["req_id"] == NIL:
                return packet

    async def closed(self) -> tuple[int, Any]:
        """Wait for the close; return its code, and the ``data`` of CLOSING (``None`` if the server sent none)."""
        closing = None
        try:
            while True:
                packet = self.pushed.popleft() if self.pushed else await self.receive()
                if isinstance(packet, dict) and packet["pkg_id"] == -6:
                    closing = packet["data"]
        except ConnectionClosed as closed:
            return (closed.rcvd.code if closed.rcvd else 1006), closing


def _is_array_of_events(frame: Any) -> bool:
    """Return True for what a ``batched`` subscription gets; the replies to a batch have no topic."""
    return isinstance(frame, list) and all("topic" in (packet.get("meta") or {}) for packet in frame)


@asynccontextmanager
async def packet_client(
    port: int,
    token: str | None = None,
    *,
    codec: Literal["json", "msgpack"] = "json",
    path: str = "/web",
    name: str = "127.0.0.1",
    **options: Any,
) -> AsyncIterator[PacketClient]:
    """Connect, with the token in the ``Authorization`` header if there is one, and ``name`` in ``Host``."""
    headers = dict(options.pop("additional_headers", {}))
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    options.setdefault("subprotocols", ["msgpack"] if codec == "msgpack" else None)
    async with connect(
        f"ws://{name}:{port}{path}",
        host="127.0.0.1",
        additional_headers=headers,
        proxy=None,
        max_size=None,
        ping_interval=None,
        open_timeout=PATIENCE,
        # A test that did not read everything need not wait for the server's half of the close.
        close_timeout=0.5,
        **options,
    ) as socket:
        yield PacketClient(socket, codec)
