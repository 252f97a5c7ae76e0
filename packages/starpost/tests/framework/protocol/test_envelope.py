from uuid import uuid4

import msgspec

from starpost.errors import RSPCode
from starpost.protocol import NIL, OffsetMeta, ResponseModel, ServerPacket


def test_ok_msg() -> None:
    req_id = uuid4()
    assert msgspec.to_builtins(ResponseModel.ok_msg(1, req_id, [1], OffsetMeta.of(1, 20, 1))) == {
        "pkg_id": 1,
        "req_id": str(req_id),
        "status_code": 0,
        "data": [1],
        "meta": {"page": 1, "per_page": 20, "total": 1, "pages": 1},
    }


def test_meta_is_left_out_where_there_is_none() -> None:
    assert "meta" not in msgspec.to_builtins(ResponseModel.ok_msg(1, NIL, {}))


def test_err_msg() -> None:
    reply = ResponseModel.err_msg(1, NIL, "no", code="conflict", status_code=RSPCode.CONFLICT)
    assert msgspec.to_builtins(reply)["status_code"] == 5
    assert msgspec.to_builtins(reply.data) == {"code": "conflict", "msg": "no", "retryable": False}


def test_what_the_server_sends_unasked() -> None:
    assert msgspec.to_builtins(ServerPacket(8, {"a": 1}, {"topic": "authors", "offset": "7"})) == {
        "pkg_id": 8,
        "data": {"a": 1},
        "meta": {"topic": "authors", "offset": "7"},
        "req_id": "00000000-0000-0000-0000-000000000000",
        "status_code": 0,
    }
