"""The two codecs of the socket: JSON in text frames, MessagePack in binary ones.

A frame is decoded once, straight into envelopes. Only when that fails is it looked at again, to say what is wrong and
to save what can be saved: the good packets of a batch, and the ids to answer with.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal
from uuid import UUID

import msgspec
from msgspec import DecodeError, Raw, ValidationError

from app.framework.errors import AppError, BadEnvelopeError, BadFrameError, BatchTooLargeError, FieldError
from app.framework.protocol.envelope import NIL, Packet

# What decoding hostile bytes may raise beside msgspec's own: text that is no Unicode, nesting beyond the recursion
# limit, a MessagePack map whose key cannot be hashed, and numbers beyond what the interpreter converts.
MALFORMED: Final = (DecodeError, UnicodeError, RecursionError, TypeError, ValueError, OverflowError)


@dataclass(frozen=True, slots=True)
class BadPacket:
    """A packet that cannot be run, with what could be read of its ids."""

    error: AppError
    pkg_id: int = 0
    req_id: UUID = NIL


class Codec:
    """One way to write packets into frames.

    Args:
        name: The WebSocket subprotocol.
        module: msgspec's codec.
        frame_type: What a frame is in Python: ``str`` for text, ``bytes`` for binary frames.
    """

    def __init__(self, name: Literal["json", "msgpack"], frame_type: type[str] | type[bytes]) -> None:
        self.name = name
        self.frame_type = frame_type
        # The two modules have the same functions; mypy cannot know.
        self._module: Any = msgspec.json if name == "json" else msgspec.msgpack
        self.frame_key = "text" if frame_type is str else "bytes"
        self.empty_object: bytes = self._module.encode({})
        self.encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode if name == "json" else _encode_msgpack
        self._frames = self._module.Decoder(Packet | list[Packet])
        self._list = self._module.Decoder(list[Raw])
        self._packet = self._module.Decoder(Packet)
        self._raw = self._module.Decoder(Raw)
        self._members = self._module.Decoder(dict[Any, Raw])
        self._envelope = [
            (field.name, self._module.Decoder(field.type), field.required) for field in msgspec.structs.fields(Packet)
        ]

    def frame(self, encoded: bytes) -> str | bytes:
        """Encoded bytes as the content of a frame."""
        return encoded.decode() if self.frame_type is str else encoded

    def decoder(self, payload: Any) -> Any:
        """A decoder for one payload type, made once at start."""
        return self._module.Decoder(payload)

    def parse(self, data: Any, into: Any = Any) -> Any:
        """Decode bytes for which no decoder was made.

        Raises:
            DecodeError: and the rest of ``MALFORMED``.
        """
        return self._module.decode(data, type=into)

    def decode(self, frame: str | bytes, max_batch: int) -> "Packet | BadPacket | list[Packet | BadPacket]":
        """One frame to its packets. Never raises: what is wrong comes back as ``BadPacket``."""
        try:
            found: Packet | list[Packet] = self._frames.decode(frame)
        except MALFORMED:
            return self._salvage(frame, max_batch)
        if type(found) is list and not 1 <= len(found) <= max_batch:
            return _wrong_batch(len(found), max_batch)
        return found  # type: ignore[return-value]  # list is invariant; nobody writes to it

    def _salvage(self, frame: str | bytes, max_batch: int) -> "Packet | BadPacket | list[Packet | BadPacket]":
        """Take a frame apart as far as it goes, without decoding more than the envelopes."""
        try:
            raw = self._raw.decode(frame)
        except MALFORMED as error:
            return BadPacket(BadFrameError(f"The frame is not {self._title}: {_reason(error)}"))
        try:
            batch = self._list.decode(raw)
        except MALFORMED:
            return self._salvage_packet(raw)
        if not 1 <= len(batch) <= max_batch:
            return _wrong_batch(len(batch), max_batch)
        return [self._salvage_packet(packet) for packet in batch]

    def _salvage_packet(self, raw: Raw) -> Packet | BadPacket:
        """The packet, or what is wrong with its envelope and the ids that are right."""
        try:
            return self._packet.decode(raw)  # type: ignore[no-any-return]
        except MALFORMED:
            pass
        try:
            members = self._members.decode(raw)
        except MALFORMED as error:
            return BadPacket(BadEnvelopeError(errors=[FieldError("$", _reason(error))]))
        values: dict[str, Any] = {}
        errors: list[FieldError] = []
        for name, decoder, is_required in self._envelope:
            if name in members:
                try:
                    values[name] = decoder.decode(members[name])
                except MALFORMED as error:
                    errors.append(FieldError(f"$.{name}", _reason(error)))
            elif is_required:
                errors.append(FieldError(f"$.{name}", "Required, and missing"))
        if errors:
            return BadPacket(BadEnvelopeError(errors=errors), values.get("pkg_id", 0), values.get("req_id", NIL))
        # Only members that do not matter were wrong: one given twice, or one whose name is no string.
        return Packet(**values)

    @property
    def _title(self) -> str:
        return "JSON" if self.name == "json" else "MessagePack"

    def wrong_frame_type(self) -> BadPacket:
        """The answer to a binary frame on a JSON connection, or the other way round."""
        kind = "text" if self.frame_type is str else "binary"
        return BadPacket(BadFrameError(f"Expected a {kind} frame with {self._title}"))

    def join(self, replies: list[bytes]) -> bytes:
        """Encoded replies to the one encoded array that answers a batch."""
        if self.name == "json":
            return b"[" + b",".join(replies) + b"]"
        count = len(replies)
        # MessagePack's array header: fixarray, array 16, array 32.
        head = (
            bytes((0x90 | count,))
            if count < 16
            else b"\xdc" + count.to_bytes(2, "big")
            if count < 65_536
            else b"\xdd" + count.to_bytes(4, "big")
        )
        return head + b"".join(replies)


def _reason(error: Exception) -> str:
    """What a decoder's error says, for a client."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, ValidationError | DecodeError):
        return str(error)
    return "not decodable"


def _wrong_batch(count: int, max_batch: int) -> BadPacket:
    if count:
        return BadPacket(BatchTooLargeError(f"A batch holds at most {max_batch} packets, this one {count}"))
    return BadPacket(BadEnvelopeError("A batch holds at least one packet"))


def _encode_msgpack(value: Any) -> bytes:
    """MessagePack of the shapes that JSON has: a date is an RFC 3339 string in both, not an extension type here."""
    return _msgpack_encoder.encode(msgspec.to_builtins(value, builtin_types=(bytes, bytearray, memoryview)))


_msgpack_encoder = msgspec.msgpack.Encoder()

JSON = Codec("json", str)
MSGPACK = Codec("msgpack", bytes)
CODECS: Final[tuple[Codec, ...]] = (JSON, MSGPACK)
