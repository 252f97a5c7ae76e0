"""Wire protocol: bytes to structs and back, without I/O.

A codec decodes a frame into packets, and encodes replies:

    >>> from starpost.protocol import JSON, ResponseModel
    >>> frame = '{"pkg_id": 1, "req_id": "550e8400-e29b-41d4-a716-446655440000", "data": {"page": 1}}'
    >>> packet = JSON.decode(frame, max_batch=64)
    >>> packet.pkg_id, bytes(packet.data)
    (1, b'{"page": 1}')
    >>> JSON.encode(ResponseModel.ok_msg(packet.pkg_id, packet.req_id, {}))
    b'{"pkg_id":1,"req_id":"550e8400-e29b-41d4-a716-446655440000","status_code":0,"data":{}}'

``decode`` never raises: a fault becomes a ``BadPacket`` with the ids that could be read. ``data`` stays encoded until
the dispatcher knows that the sender may send the packet; ``decode_or_explain`` then decodes it, and names every fault,
not only the first. Knows no Litestar, SQLAlchemy or Redis.
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
