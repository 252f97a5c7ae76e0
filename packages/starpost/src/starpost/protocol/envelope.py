"""Envelopes: the shapes of requests, replies and server packets on the wire."""

from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from starpost.errors import ErrorBody, RSPCode
from starpost.protocol.pages import CursorMeta, OffsetMeta

T = TypeVar("T")

NIL = UUID(int=0)
"""Nil ``req_id`` of server packets, and of replies to requests whose id could not be read (RFC 9562, section 5.9)."""

MAX_PACKET_ID = 2**31 - 1
PacketId = Annotated[int, Meta(ge=-(2**31), le=MAX_PACKET_ID)]
# Bounded, because times are floats, which cannot hold every larger integer.
Milliseconds = Annotated[int, Meta(ge=1, le=2**53)]


class Packet(Struct, gc=False):
    """Envelope of a request. ``data`` stays encoded until the dispatcher knows that the sender may send it."""

    pkg_id: PacketId
    req_id: UUID
    data: Raw | UnsetType = UNSET
    timeout_ms: Milliseconds | None = None


class ResponseModel(Struct, Generic[T]):
    """Complete reply. A handler may return one instead of a bare value, to set ``status_code`` or ``meta`` itself."""

    pkg_id: int
    req_id: UUID
    status_code: int
    data: T
    meta: OffsetMeta | CursorMeta | UnsetType = UNSET

    @classmethod
    def ok_msg(
        cls, pkg_id: int, req_id: UUID, data: T, meta: OffsetMeta | CursorMeta | UnsetType = UNSET
    ) -> "ResponseModel[T]":
        """Make a reply with status 0."""
        return cls(pkg_id, req_id, RSPCode.OK, data, meta)

    @staticmethod
    def err_msg(
        pkg_id: int, req_id: UUID, msg: str, *, code: str = "internal", status_code: RSPCode = RSPCode.ERROR
    ) -> "ResponseModel[Any]":
        """Make a refusal. The dispatcher rolls back work of the packet that is not committed yet.

        Its ``data`` is an ``ErrorBody``, typed ``Any`` so that a handler may return it in place of its declared reply.
        """
        return ResponseModel(pkg_id, req_id, status_code, ErrorBody(code, msg, retryable=False))


class ServerPacket(Struct):
    """Packet that the server sends without a request: a push, an event or a system packet."""

    pkg_id: int
    data: Any
    meta: Any = UNSET
    req_id: UUID = NIL
    status_code: int = RSPCode.OK
