"""Bytes to structs and back: the wire contract without I/O.

Knows no Litestar, SQLAlchemy or Redis.
"""

from starpost.protocol.close_codes import CloseCode, Verdict
from starpost.protocol.codecs import CODECS, JSON, MSGPACK, BadPacket, Codec
from starpost.protocol.envelope import NIL, Packet, ResponseModel, ServerPacket
from starpost.protocol.pages import CursorMeta, OffsetMeta, Page
from starpost.protocol.validation import all_errors, decode_or_explain

__all__ = [
    "CODECS",
    "JSON",
    "MSGPACK",
    "NIL",
    "BadPacket",
    "CloseCode",
    "Codec",
    "CursorMeta",
    "OffsetMeta",
    "Packet",
    "Page",
    "ResponseModel",
    "ServerPacket",
    "Verdict",
    "all_errors",
    "decode_or_explain",
]
