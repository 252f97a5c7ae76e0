"""Frames that the loads send, and the mark of a good reply."""

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
    """Frames that one connection sends.

    Args:
        codec: The subprotocol: text frames with JSON or binary ones with MessagePack.
        sequence: Endless sequence of frames.
        packets: Packets in each frame.
        good: Bytes that every good reply contains, and no other; by default those of our own protocol.
    """

    codec: CodecName
    sequence: Iterator[bytes]
    packets: int = 1
    good: bytes = b""

    def __post_init__(self) -> None:
        if not self.good:
            mark = b'"status_code":0' if self.codec == "json" else b"\xabstatus_code\x00"
            object.__setattr__(self, "good", mark)


def encode(codec: CodecName, value: Any) -> bytes:
    """Encode a frame."""
    return msgspec.json.encode(value) if codec == "json" else msgspec.msgpack.encode(value)


def packet(pkg_id: int, data: Any) -> dict[str, Any]:
    """Make the envelope of a request."""
    return {"pkg_id": pkg_id, "req_id": str(REQ_ID), "data": data}


def constant(pkg_id: int, data: Any, *, codec: CodecName = "json", batch: int = 0) -> Frames:
    """Make frames with the same packet each time, or with ``batch`` copies of it."""
    request = packet(pkg_id, data)
    return Frames(codec, repeat(encode(codec, [request] * batch if batch else request)), batch or 1)


def in_turn(pkg_ids: range) -> Frames:
    """Make frames with each of these packets in turn, without data."""
    frames = [encode("json", packet(pkg_id, {})) for pkg_id in pkg_ids]
    return Frames("json", (frame for _ in repeat(None) for frame in frames))


def creations(pkg_id: int, prefix: str) -> Frames:
    """Make packets that create something, each with a name of its own."""
    return Frames("json", (encode("json", packet(pkg_id, {"name": f"{prefix}-{number}"})) for number in count()))
