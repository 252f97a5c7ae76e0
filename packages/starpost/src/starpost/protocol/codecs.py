"""The two codecs of the socket: JSON in text frames, MessagePack in binary ones.

A frame is decoded once, straight into envelopes. Only if that fails, the codec parses it again, to name the faults and
to recover the good packets of a batch and the ids to answer with.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, DecodeError, Meta, Raw, Struct, UnsetType, ValidationError

from starpost.errors import AppError, BadEnvelopeError, BadFrameError, BatchTooLargeError, FieldError
from starpost.protocol.envelope import NIL, Packet

# Hostile bytes raise more than msgspec's own errors: text that is not Unicode, nesting beyond the recursion limit, a
# MessagePack map with a key that cannot be hashed, and numbers beyond what the interpreter converts.
MALFORMED: Final = (DecodeError, UnicodeError, RecursionError, TypeError, ValueError, OverflowError)

MAX_MEMBERS: Final = 64
"""Most members of a MessagePack envelope that is parsed again. No id is read from a larger one."""


class _Array(Struct, array_like=True):
    """Any array. msgspec skips its items without making objects of them."""


class _Members(Struct):
    """Members of an envelope, each of any type. msgspec skips all others."""

    pkg_id: Raw | UnsetType = UNSET
    req_id: Raw | UnsetType = UNSET
    data: Raw | UnsetType = UNSET
    timeout_ms: Raw | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class BadPacket:
    """Packet that cannot be handled, with those of its ids that could be read."""

    error: AppError
    pkg_id: int = 0
    req_id: UUID = NIL


class Codec:
    """Codec of one WebSocket subprotocol.

    Args:
        name: The WebSocket subprotocol.
        frame_type: Python's type of a frame: ``str`` for text, ``bytes`` for binary frames.
    """

    def __init__(self, name: Literal["json", "msgpack"], frame_type: type[str] | type[bytes]) -> None:
        self.name = name
        self.frame_type = frame_type
        # `Any`: the two modules have the same functions, but share no type.
        self._module: Any = msgspec.json if name == "json" else msgspec.msgpack
        self._hooks: dict[str, Any] = {} if name == "json" else {"ext_hook": _refuse_extension}
        self.frame_key = "text" if frame_type is str else "bytes"
        self.empty_object: bytes = self._module.encode({})
        self.encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode if name == "json" else _encode_msgpack
        self._frames = self._module.Decoder(Packet | list[Packet])
        self._array = self._module.Decoder(_Array)
        self._batches: dict[int, Any] = {}
        self._packet = self._module.Decoder(Packet)
        self._raw = self._module.Decoder(Raw)
        self._members = self._module.Decoder(_Members)
        # Checked against the header of the map, before a member is read.
        self._any_members = self._module.Decoder(Annotated[dict[Any, Raw], Meta(max_length=MAX_MEMBERS)])
        self._envelope = [
            (field.name, self._module.Decoder(field.type), field.required) for field in msgspec.structs.fields(Packet)
        ]

    def frame(self, encoded: bytes) -> str | bytes:
        """Return encoded bytes as the content of a frame."""
        return encoded.decode() if self.frame_type is str else encoded

    def decoder(self, payload: Any) -> Any:
        """Make the decoder of one payload type. Called once, at start."""
        return self._module.Decoder(payload, **self._hooks)

    def parse(self, data: Any, into: Any = Any) -> Any:
        """Decode bytes without a decoder that was made before.

        Raises:
            DecodeError: and the rest of ``MALFORMED``.
        """
        return self._module.decode(data, type=into, **self._hooks)

    def decode(self, frame: str | bytes, max_batch: int) -> "Packet | BadPacket | list[Packet | BadPacket]":
        """Decode a frame into its packets. Never raises: a fault is returned as ``BadPacket``."""
        try:
            found: Packet | list[Packet] = self._frames.decode(frame)
        except MALFORMED:
            return self._salvage(frame, max_batch)
        if type(found) is list and not 1 <= len(found) <= max_batch:
            return _wrong_batch(max_batch, is_empty=not found)
        return found  # type: ignore[return-value]  # list is invariant; nobody writes to it

    def _salvage(self, frame: str | bytes, max_batch: int) -> "Packet | BadPacket | list[Packet | BadPacket]":
        """Recover the packets of a malformed frame, decoding at most ``max_batch`` envelopes.

        The sender chooses the number of items and of their members. So we make no object for an item or a member that
        is not needed: 1 MiB of ``[1,1,…]`` costs no more than checking its syntax.
        """
        try:
            self._array.decode(frame)
        except MALFORMED:
            return self._salvage_single(frame)
        try:
            batch = msgspec.structs.astuple(self._batch(max_batch).decode(frame))
        except MALFORMED:
            return _wrong_batch(max_batch)
        found = [self._salvage_packet(packet) for packet in batch if packet is not UNSET]
        return found or _wrong_batch(max_batch, is_empty=True)

    def _batch(self, max_batch: int) -> Any:
        """Return a decoder of arrays that stops at the first excess item. A decoder of lists would make them all."""
        decoder = self._batches.get(max_batch)
        if decoder is None:
            slots = [(f"packet_{number}", Raw | UnsetType, UNSET) for number in range(max_batch)]
            array = msgspec.defstruct("Batch", slots, array_like=True, forbid_unknown_fields=True)
            decoder = self._batches[max_batch] = self._module.Decoder(array)
        return decoder

    def _salvage_single(self, frame: str | bytes) -> Packet | BadPacket:
        """Recover the packet of a frame that is not an array."""
        try:
            raw = self._raw.decode(frame)
        except MALFORMED as error:
            return BadPacket(BadFrameError(f"The frame is not {self._title}: {_reason(error)}"))
        return self._salvage_packet(raw)

    def _salvage_packet(self, raw: Raw) -> Packet | BadPacket:
        """Return the packet, or the faults of its envelope together with the ids that are valid."""
        try:
            return self._packet.decode(raw)  # type: ignore[no-any-return]
        except MALFORMED:
            pass
        try:
            members = self._members_of(raw)
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
        # Only irrelevant members were invalid: repeated ones, or ones whose name is not a string.
        return Packet(**values)

    def _members_of(self, raw: Raw) -> dict[Any, Raw]:
        """Return the members of an envelope that we know, undecoded.

        Raises:
            DecodeError: and the rest of ``MALFORMED``: it is not an object.
        """
        try:
            members = msgspec.structs.asdict(self._members.decode(raw))
        except MALFORMED:
            if self.name == "json":
                raise
            # MessagePack allows names that are not strings, which msgspec rejects for a struct.
            return self._any_members.decode(raw)  # type: ignore[no-any-return]
        return {name: member for name, member in members.items() if member is not UNSET}

    @property
    def _title(self) -> str:
        return "JSON" if self.name == "json" else "MessagePack"

    def wrong_frame_type(self) -> BadPacket:
        """Return the refusal of a binary frame on a JSON connection, or of a text frame on a MessagePack one."""
        kind = "text" if self.frame_type is str else "binary"
        return BadPacket(BadFrameError(f"Expected a {kind} frame with {self._title}"))

    def join(self, replies: list[bytes]) -> bytes:
        """Join encoded replies into the encoded array that answers a batch."""
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


def _refuse_extension(_code: int, _data: memoryview) -> Any:
    """Refuse extension types, except the timestamp, which msgspec decodes itself: replies could not contain them."""
    raise ValidationError("Extension types are not supported")


def _reason(error: Exception) -> str:
    """Return a decoder's error as text for a client."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, ValidationError | DecodeError):
        return str(error)
    return "not decodable"


def _wrong_batch(max_batch: int, *, is_empty: bool = False) -> BadPacket:
    if is_empty:
        return BadPacket(BadEnvelopeError("A batch holds at least one packet"))
    return BadPacket(BatchTooLargeError(f"A batch holds at most {max_batch} packets"))


def _encode_msgpack(value: Any) -> bytes:
    """Encode with the same shapes as JSON: a date is an RFC 3339 string in both, not an extension type."""
    return _msgpack_encoder.encode(msgspec.to_builtins(value, builtin_types=(bytes, bytearray, memoryview)))


_msgpack_encoder = msgspec.msgpack.Encoder()

JSON = Codec("json", str)
MSGPACK = Codec("msgpack", bytes)
CODECS: Final[tuple[Codec, ...]] = (JSON, MSGPACK)
