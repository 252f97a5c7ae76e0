"""Frames to packets and back, with every kind of hostile input (section 1 of the contract)."""

import json
import tracemalloc
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from starpost.errors import BadEnvelopeError, BadFrameError, BatchTooLargeError
from starpost.protocol import CODECS, JSON, MSGPACK, NIL, BadPacket, Codec, Packet, ResponseModel
from starpost.protocol.pages import CursorMeta, OffsetMeta

MAX_BATCH = 64
REQ_ID = "550e8400-e29b-41d4-a716-446655440000"

codecs = pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, width=32) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
# Members that look like an envelope's, right and wrong, so that the search reaches behind the first check.
envelope_like = st.fixed_dictionaries(
    {},
    optional={
        "pkg_id": st.integers(-(2**63), 2**64 - 1) | json_values,
        "req_id": st.uuids().map(str) | json_values,
        "data": json_values,
        "timeout_ms": st.integers(-(2**63), 2**64 - 1) | json_values,
        "other": json_values,
    },
)
sizes = st.integers(1, 2**31)
frame_values = envelope_like | st.lists(envelope_like, max_size=MAX_BATCH + 2) | json_values


def frame_of(codec: Codec, value: Any) -> str | bytes:
    encoded = msgspec.json.encode(value) if codec is JSON else msgspec.msgpack.encode(value)
    return encoded.decode() if codec.frame_type is str else encoded


def envelope(**members: Any) -> dict[str, Any]:
    return {"pkg_id": 1, "req_id": REQ_ID} | members


def judge(codec: Codec, found: Packet | BadPacket, value: Any) -> None:
    """One packet of a frame against a naive reading of the contract."""

    def is_ok(name: str, wanted: Any) -> bool:
        try:
            msgspec.convert(value[name], wanted)
        except (msgspec.ValidationError, KeyError, TypeError):
            return False
        return True

    is_object = isinstance(value, dict)
    pkg_id = value["pkg_id"] if is_object and is_ok("pkg_id", Packet.__annotations__["pkg_id"]) else None
    req_id = UUID(value["req_id"]) if is_object and is_ok("req_id", UUID) else None
    timeout = value.get("timeout_ms") if is_object else None
    is_timeout_ok = timeout is None or (type(timeout) is int and 1 <= timeout <= 2**53)
    assert found.pkg_id == (pkg_id or 0)
    assert found.req_id == (req_id or NIL)
    if pkg_id is not None and req_id is not None and is_timeout_ok:
        assert isinstance(found, Packet)
        assert found.timeout_ms == timeout
        if "data" in value:
            assert found.data is not msgspec.UNSET
            assert codec.parse(found.data) == codec.parse(frame_of(codec, value["data"]))
    else:
        assert isinstance(found, BadPacket)
        assert type(found.error) is BadEnvelopeError
        faulty = {error.path for error in found.error.errors}
        expected = {
            path
            for path, is_good in [
                ("$.pkg_id", pkg_id is not None),
                ("$.req_id", req_id is not None),
                ("$.timeout_ms", is_timeout_ok),
            ]
            if not is_good
        }
        assert faulty == (expected if is_object else {"$"})


@codecs
@given(value=frame_values)
@example(value=[])
@example(value={})
@example(value=[[envelope()]])
def test_any_value_is_judged_as_the_contract_says(codec: Codec, value: Any) -> None:
    found = codec.decode(frame_of(codec, value), MAX_BATCH)
    if not isinstance(value, list):
        assert not isinstance(found, list)
        judge(codec, found, value)
    elif not value:
        assert isinstance(found, BadPacket)
        assert type(found.error) is BadEnvelopeError
    elif len(value) > MAX_BATCH:
        assert isinstance(found, BadPacket)
        assert type(found.error) is BatchTooLargeError
    else:
        assert isinstance(found, list)
        assert len(found) == len(value)
        for packet, item in zip(found, value, strict=True):
            judge(codec, packet, item)


@given(frame=st.text(st.characters()) | st.binary().map(lambda raw: raw.decode("latin-1")))
@example(frame="")
@example(frame="\ud800")
@example(frame='"\\ud800"')
@example(frame="[" * 200_000)
@example(frame='{"pkg_id":1,"pkg_id"')
def test_any_text_is_answered(frame: str) -> None:
    assert_answerable(JSON, JSON.decode(frame, MAX_BATCH))


@given(frame=st.binary())
@example(frame=b"")
@example(frame=b"\xc1")
@example(frame=b"\x91" * 200_000)
@example(frame=b"\xdd\xff\xff\xff\xff")
@example(frame=b"\x81\x80\x01")  # a map as a key: it has no hash
@example(frame=b"\xa1\xff")  # a string that is no UTF-8
@example(frame=b"\xc7\x0c\xff" + b"\xff" * 12)  # a time that does not exist
@example(frame=b"\xd4\x05\x00")  # an extension nobody knows
def test_any_bytes_are_answered(frame: bytes) -> None:
    assert_answerable(MSGPACK, MSGPACK.decode(frame, MAX_BATCH))


def assert_answerable(codec: Codec, found: Packet | BadPacket | list[Packet | BadPacket]) -> None:
    for packet in found if isinstance(found, list) else [found]:
        if isinstance(packet, BadPacket):
            assert isinstance(packet.error, BadFrameError | BadEnvelopeError | BatchTooLargeError)
            error = packet.error
            reply = codec.encode(ResponseModel(packet.pkg_id, packet.req_id, error.status_code, error.body()))
            assert codec.parse(reply)["data"]["msg"] == error.msg


@codecs
def test_good_packet(codec: Codec) -> None:
    found = codec.decode(frame_of(codec, envelope(data={"a": 1}, timeout_ms=50)), MAX_BATCH)
    assert isinstance(found, Packet)
    assert (found.pkg_id, found.req_id, found.timeout_ms) == (1, UUID(REQ_ID), 50)
    assert codec.parse(found.data) == {"a": 1}


@codecs
def test_other_members_are_ignored(codec: Codec) -> None:
    assert isinstance(codec.decode(frame_of(codec, envelope(trace="x", meta={"a": [1]})), MAX_BATCH), Packet)


def test_members_whose_name_is_no_string_are_ignored() -> None:
    found = MSGPACK.decode(msgspec.msgpack.encode(envelope() | {1: 2}), MAX_BATCH)
    assert isinstance(found, Packet)
    assert found.pkg_id == 1


def test_of_a_member_given_twice_the_last_counts() -> None:
    found = JSON.decode(f'{{"pkg_id": "x", "pkg_id": 7, "req_id": "{REQ_ID}"}}', MAX_BATCH)
    assert isinstance(found, Packet)
    assert found.pkg_id == 7
    bad = JSON.decode(f'{{"pkg_id": 7, "pkg_id": "x", "req_id": "{REQ_ID}"}}', MAX_BATCH)
    assert isinstance(bad, BadPacket)
    assert (bad.pkg_id, bad.req_id) == (0, UUID(REQ_ID))


@codecs
@pytest.mark.parametrize("pkg_id", [2**31, -(2**31) - 1, 2**63, "1", 1.5, True, None, [], {}])
def test_wrong_pkg_id(codec: Codec, pkg_id: Any) -> None:
    bad = codec.decode(frame_of(codec, envelope(pkg_id=pkg_id, data={})), MAX_BATCH)
    assert isinstance(bad, BadPacket)
    assert (bad.pkg_id, bad.req_id) == (0, UUID(REQ_ID))
    assert [error.path for error in bad.error.errors] == ["$.pkg_id"]


@codecs
@pytest.mark.parametrize("req_id", ["", "x", "550e8400", 1, None, ["x"], {"a": 1}, "ü" * 36])
def test_wrong_req_id(codec: Codec, req_id: Any) -> None:
    bad = codec.decode(frame_of(codec, envelope(req_id=req_id, data={})), MAX_BATCH)
    assert isinstance(bad, BadPacket)
    assert (bad.pkg_id, bad.req_id) == (1, NIL)
    assert [error.path for error in bad.error.errors] == ["$.req_id"]


@codecs
@pytest.mark.parametrize("timeout", [0, -1, "5", 1.5, 2**53 + 1, 2**64 - 1])
def test_wrong_timeout(codec: Codec, timeout: Any) -> None:
    bad = codec.decode(frame_of(codec, envelope(timeout_ms=timeout)), MAX_BATCH)
    assert isinstance(bad, BadPacket)
    assert (bad.pkg_id, bad.req_id) == (1, UUID(REQ_ID))


@pytest.mark.parametrize("digits", [30, 400, 5000])
@pytest.mark.parametrize("member", ["pkg_id", "timeout_ms"])
def test_huge_integers(member: str, digits: int) -> None:
    """They have no float, and beyond 4300 digits the interpreter does not convert them at all."""
    frame = json.dumps(envelope() | {member: 0}).replace(f'"{member}": 0', f'"{member}": {"9" * digits}')
    bad = JSON.decode(frame, MAX_BATCH)
    assert isinstance(bad, BadPacket)
    assert type(bad.error) is BadEnvelopeError
    assert bad.req_id == UUID(REQ_ID)


def test_what_is_wrong_inside_data_spoils_neither_envelope_nor_batch() -> None:
    frame = f'[{json.dumps(envelope())}, {{"pkg_id": 2, "req_id": "{REQ_ID}", "data": {{"n": {"9" * 5000}}}}}, 7]'
    found = JSON.decode(frame, MAX_BATCH)
    assert isinstance(found, list)
    assert [(type(packet), packet.pkg_id) for packet in found] == [(Packet, 1), (Packet, 2), (BadPacket, 0)]


@codecs
@pytest.mark.parametrize("size", [1, 2, 63, 64])
def test_batch(codec: Codec, size: int) -> None:
    frame = frame_of(codec, [envelope(pkg_id=number) for number in range(size)])
    found = codec.decode(frame, MAX_BATCH)
    assert isinstance(found, list)
    assert [packet.pkg_id for packet in found] == list(range(size))
    assert all(isinstance(packet, Packet) for packet in found)


@codecs
@pytest.mark.parametrize("is_good", [True, False], ids=["good", "bad"])
def test_batch_too_large(codec: Codec, is_good: bool) -> None:
    bad = codec.decode(frame_of(codec, [envelope() if is_good else {}] * 65), MAX_BATCH)
    assert isinstance(bad, BadPacket)
    assert type(bad.error) is BatchTooLargeError
    assert (bad.pkg_id, bad.req_id) == (0, NIL)


@codecs
@pytest.mark.parametrize("item", [1, {}, [1]])
def test_nothing_is_made_of_the_items_of_a_batch_that_is_too_large(codec: Codec, item: Any) -> None:
    frame = frame_of(codec, [item] * 100_000)
    found, size = made_by(lambda: codec.decode(frame, MAX_BATCH))
    assert isinstance(found, BadPacket)
    assert type(found.error) is BatchTooLargeError
    assert size < MADE_OF_ONE_PACKET


@codecs
@pytest.mark.parametrize("name", ["string", "number"])
def test_nothing_is_made_of_the_members_of_an_envelope_that_do_not_count(codec: Codec, name: str) -> None:
    members: dict[Any, Any] = {(number if name == "number" else str(number)): 1 for number in range(100_000)}
    # Bad, and its id is found all the same; msgspec cannot look past a name that is no string.
    frame = frame_of(codec, {"pkg_id": "bad", "req_id": REQ_ID} | members)
    found, size = made_by(lambda: codec.decode(frame, MAX_BATCH))
    assert isinstance(found, BadPacket)
    assert type(found.error) is BadEnvelopeError
    assert found.req_id == (NIL if codec is MSGPACK and name == "number" else UUID(REQ_ID))
    assert size < MADE_OF_ONE_PACKET


MADE_OF_ONE_PACKET = 100_000
"""Bytes; a hundred thousand objects take a multiple."""


def made_by(call: Callable[[], Any]) -> tuple[Any, int]:
    """What the call returns, and the most memory that Python held meanwhile, in bytes."""
    call()  # makes what is made once
    tracemalloc.start()
    try:
        return call(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@codecs
def test_one_bad_packet_of_a_batch_fails_alone(codec: Codec) -> None:
    values: list[Any] = [envelope(), "packet", envelope(pkg_id="x"), {}, envelope(pkg_id=2), [envelope()]]
    found = codec.decode(frame_of(codec, values), MAX_BATCH)
    assert isinstance(found, list)
    kinds = [type(packet) for packet in found]
    assert kinds == [Packet, BadPacket, BadPacket, BadPacket, Packet, BadPacket]
    assert [packet.req_id != NIL for packet in found] == [True, False, True, False, True, False]


@codecs
def test_broken_frame_with_a_good_beginning_is_a_bad_frame(codec: Codec) -> None:
    frame = frame_of(codec, [envelope(), envelope()])
    bad = codec.decode(frame[:-3], MAX_BATCH)
    assert isinstance(bad, BadPacket)
    assert type(bad.error) is BadFrameError
    assert (bad.pkg_id, bad.req_id) == (0, NIL)


@codecs
def test_wrong_frame_type(codec: Codec) -> None:
    bad = codec.wrong_frame_type()
    assert type(bad.error) is BadFrameError
    assert ("text" if codec is JSON else "binary") in bad.error.msg


@codecs
@given(datas=st.lists(json_values, max_size=80))
def test_join_is_the_encoded_list(codec: Codec, datas: list[Any]) -> None:
    replies = [ResponseModel(1, NIL, 0, data) for data in datas]
    assert codec.join([codec.encode(reply) for reply in replies]) == codec.encode(replies)


@pytest.mark.parametrize("count", [0, 1, 15, 16, 65_535, 65_536])
def test_join_around_the_sizes_of_the_array_header(count: int) -> None:
    assert MSGPACK.join([b"\x01"] * count) == msgspec.msgpack.encode([1] * count)


@codecs
@given(
    pkg_id=st.integers(-(2**31), 2**31 - 1),
    req_id=st.uuids(),
    data=st.dictionaries(st.text(), json_values),
    timeout=st.none() | st.integers(1, 2**53),
)
def test_round_trip_of_a_request(
    codec: Codec, pkg_id: int, req_id: UUID, data: dict[str, Any], timeout: int | None
) -> None:
    sent = {"pkg_id": pkg_id, "req_id": str(req_id), "data": data, "timeout_ms": timeout}
    found = codec.decode(frame_of(codec, sent), MAX_BATCH)
    assert isinstance(found, Packet)
    assert (found.pkg_id, found.req_id, found.timeout_ms) == (pkg_id, req_id, timeout)
    assert codec.parse(found.data) == codec.parse(frame_of(codec, data))


@codecs
@given(data=json_values, meta=st.none() | st.builds(OffsetMeta.of, sizes, sizes, sizes) | st.builds(CursorMeta, sizes))
def test_round_trip_of_a_reply(codec: Codec, data: Any, meta: OffsetMeta | CursorMeta | None) -> None:
    req_id = uuid4()
    reply = ResponseModel(5, req_id, 0, data, msgspec.UNSET if meta is None else meta)
    shown = codec.parse(codec.encode(reply))
    assert list(shown) == ["pkg_id", "req_id", "status_code", "data"] + (["meta"] if meta else [])
    assert shown["req_id"] == str(req_id), "a UUID is a string in both codecs"
    assert shown["data"] == codec.parse(codec.encode(data))
    if meta is not None:
        assert shown["meta"] == msgspec.to_builtins(meta)
