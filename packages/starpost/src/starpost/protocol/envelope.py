"""The shapes of a packet on the wire, and of a reply."""

from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from starpost.errors import ErrorBody, RSPCode
from starpost.protocol.pages import CursorMeta, OffsetMeta

T = TypeVar("T")

NIL = UUID(int=0)
"""The ``req_id`` of what the server sends unasked, and of replies to what could not be read (RFC 9562, section 5.9)."""

MAX_PACKET_ID = 2**31 - 1
PacketId = Annotated[int, Meta(ge=-(2**31), le=MAX_PACKET_ID)]
# Bounded, because a larger integer has no float, and time is counted in floats.
Milliseconds = Annotated[int, Meta(ge=1, le=2**53)]


class Packet(Struct, gc=False):
    """A request's envelope. ``data`` stays undecoded until it is known that the sender may send it."""

    pkg_id: PacketId
    req_id: UUID
    data: Raw | UnsetType = UNSET
    timeout_ms: Milliseconds | None = None


class ResponseModel(Struct, Generic[T]):
    """A whole reply. A handler may return one instead of a bare value, to set ``status_code`` or ``meta`` itself."""

    pkg_id: int
    req_id: UUID
    status_code: int
    data: T
    meta: OffsetMeta | CursorMeta | UnsetType = UNSET

    @classmethod
    def ok_msg(
        cls, pkg_id: int, req_id: UUID, data: T, meta: OffsetMeta | CursorMeta | UnsetType = UNSET
    ) -> "ResponseModel[T]":
        """A reply of status 0."""
        return cls(pkg_id, req_id, RSPCode.OK, data, meta)

    @staticmethod
    def err_msg(
        pkg_id: int, req_id: UUID, msg: str, *, code: str = "internal", status_code: RSPCode = RSPCode.ERROR
    ) -> "ResponseModel[Any]":
        """A refusing reply. Work of the packet that is not committed yet is rolled back.

        Its ``data`` is an ``ErrorBody``; ``Any``, so that a handler may return it beside the reply that it declares.
        """
        return ResponseModel(pkg_id, req_id, status_code, ErrorBody(code, msg, retryable=False))


class ServerPacket(Struct):
    """What the server sends unasked: a push, or a system packet."""

    pkg_id: int
    data: Any
    meta: Any = UNSET
    req_id: UUID = NIL
    status_code: int = RSPCode.OK
