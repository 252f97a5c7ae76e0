"""The frames that the loads send, and what a good reply looks like."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, repeat
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

CodecName = Literal["json", "msgpack"]

REQ_ID: Final = UUID("550e8400-e29b-41d4-a716-446655440000")

TYPED: Final[dict[str, Any]] = {
    "title": "The Left Hand of Darkness",
    "author_id": 4711,
    "pages": 304,
    "price": 12.5,
    "is_available": True,
    "isbn": "978-0-441-47812-5",
    "published_at": "1969-03-01T00:00:00Z",
    "tags": ["science fiction", "novel", "hainish"],
    "size": {"width": 106, "height": 174},
    "note": None,
}
"""Ten fields: strings with bounds, numbers, a date, a list, an object, a null."""


@dataclass(frozen=True, slots=True)
class Frames:
    """What one connection sends, over and over.

    Args:
        codec: The subprotocol: text frames with JSON or binary ones with MessagePack.
        sequence: One frame after the other, without end.
        packets: In each frame.
    """

    codec: CodecName
    sequence: Iterator[bytes]
    packets: int = 1

    @property
    def good(self) -> bytes:
        """In the bytes of a good reply, and of no other."""
        return b'"status_code":0' if self.codec == "json" else b"\xabstatus_code\x00"


def encode(codec: CodecName, value: Any) -> bytes:
    """One frame."""
    return msgspec.json.encode(value) if codec == "json" else msgspec.msgpack.encode(value)


def packet(pkg_id: int, data: Any) -> dict[str, Any]:
    """A request's envelope."""
    return {"pkg_id": pkg_id, "req_id": str(REQ_ID), "data": data}


def constant(pkg_id: int, data: Any, *, codec: CodecName = "json", batch: int = 0) -> Frames:
    """The same packet each time, or a batch of ``batch`` of it."""
    request = packet(pkg_id, data)
    return Frames(codec, repeat(encode(codec, [request] * batch if batch else request)), batch or 1)


def in_turn(pkg_ids: range) -> Frames:
    """Each of these packets in turn, without data."""
    frames = [encode("json", packet(pkg_id, {})) for pkg_id in pkg_ids]
    return Frames("json", (frame for _ in repeat(None) for frame in frames))


def creations(pkg_id: int, prefix: str) -> Frames:
    """Packets that create something with a name of its own each."""
    return Frames("json", (encode("json", packet(pkg_id, {"name": f"{prefix}-{number}"})) for number in count()))
