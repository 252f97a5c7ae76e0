"""An event on its way to clients: encoded once per codec, however many subscribers there are."""

from typing import Any

import msgspec

from starpost.protocol.codecs import Codec
from starpost.protocol.envelope import ServerPacket


class EventMeta(msgspec.Struct, frozen=True):
    """Where an event stands in its topic."""

    topic: str
    offset: str


class Frames:
    """The frames of one packet that the server sends to many.

    Args:
        pkg_id: Its number.
        payload: Its ``data``, as JSON.
        meta: Its ``meta``, if it has one.
    """

    __slots__ = ("_frames", "_meta", "_payload", "_pkg_id")

    def __init__(self, pkg_id: int, payload: bytes, meta: EventMeta | msgspec.UnsetType = msgspec.UNSET) -> None:
        self._pkg_id = pkg_id
        self._payload = payload
        self._meta = meta
        self._frames: dict[str, str | bytes] = {}

    def of(self, codec: Codec) -> str | bytes:
        """The frame for connections of this codec."""
        frame = self._frames.get(codec.name)
        if frame is None:
            data: Any = msgspec.Raw(self._payload) if codec.name == "json" else msgspec.json.decode(self._payload)
            frame = codec.frame(codec.encode(ServerPacket(self._pkg_id, data, self._meta)))
            self._frames[codec.name] = frame
        return frame
