"""Bytes to structs and back: the wire contract without I/O.

Knows no Litestar, SQLAlchemy or Redis.
"""

from app.framework.protocol.close_codes import CloseCode, Verdict
from app.framework.protocol.codecs import CODECS, JSON, MSGPACK, BadPacket, Codec
from app.framework.protocol.envelope import NIL, Packet, ResponseModel, ServerPacket
from app.framework.protocol.pages import CursorMeta, OffsetMeta, Page
from app.framework.protocol.validation import all_errors, decode_or_explain

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
