"""Events on their way to clients, encoded once per codec for all subscribers."""

from typing import Any

import msgspec

from starpost.protocol.codecs import Codec
from starpost.protocol.envelope import ServerPacket


class EventMeta(msgspec.Struct, frozen=True):
    """Position of an event in its topic."""

    topic: str
    offset: str


class Frames:
    """Frames of one packet that the server sends to many clients.

    Args:
        pkg_id: Number of the packet.
        payload: ``data`` of the packet, as JSON.
        meta: ``meta`` of the packet, if it has one.
    """

    __slots__ = ("_frames", "_meta", "_payload", "_pkg_id")

    def __init__(self, pkg_id: int, payload: bytes, meta: EventMeta | msgspec.UnsetType = msgspec.UNSET) -> None:
        self._pkg_id = pkg_id
        self._payload = payload
        self._meta = meta
        self._frames: dict[str, str | bytes] = {}

    def of(self, codec: Codec) -> str | bytes:
        """Return the frame for connections with this codec."""
        frame = self._frames.get(codec.name)
        if frame is None:
            data: Any = msgspec.Raw(self._payload) if codec.name == "json" else msgspec.json.decode(self._payload)
            frame = codec.frame(codec.encode(ServerPacket(self._pkg_id, data, self._meta)))
            self._frames[codec.name] = frame
        return frame
