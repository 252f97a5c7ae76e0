"""Frames of RFC 6455 as bytes, for several that leave in one write; all others are picows's."""

from collections.abc import Iterable, Iterator
from functools import lru_cache

_TEXT, _BINARY, _PONG = 0x81, 0x82, 0x8A
"""First bytes: the frame is a message's last, and of that type."""

_SHORT, _IN_16_BITS, _IN_64_BITS = 125, 126, 127


class Pong(bytes):
    """Payload of a pong."""


@lru_cache(maxsize=4)
def wire_of(frames: tuple[str | bytes, ...]) -> bytes:
    """Return whole, unmasked frames, one after the other: text of ``str``, binary of ``bytes`` (section 5.2)."""
    return joined(frames)


def joined(frames: Iterable[str | bytes]) -> bytes:
    """Return the same, for one client."""
    return b"".join(_parts(frames))


def _parts(frames: Iterable[str | bytes]) -> Iterator[bytes]:
    for frame in frames:
        if isinstance(frame, str):
            head, payload = _TEXT, frame.encode()
        else:
            head, payload = _PONG if type(frame) is Pong else _BINARY, frame
        size = len(payload)
        if size <= _SHORT:
            yield bytes((head, size))
        elif size < 1 << 16:
            yield bytes((head, _IN_16_BITS)) + size.to_bytes(2, "big")
        else:
            yield bytes((head, _IN_64_BITS)) + size.to_bytes(8, "big")
        yield payload
