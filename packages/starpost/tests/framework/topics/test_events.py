"""Events that travel together, alone: who gets which frames, and their bounds."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from starpost.protocol.codecs import CODECS, JSON, MSGPACK, Codec
from starpost.topics.event import MAX_BYTES_TOGETHER, MAX_TOGETHER, EventMeta, Events, Frames, Run, together


def event(seq: int, payload: bytes | None = None) -> tuple[int, Frames]:
    return seq, Frames(9, b'{"n":%d}' % seq if payload is None else payload, EventMeta("numbers", str(seq)))


def offsets(codec: Codec, run: Run) -> list[list[int]]:
    """The numbers in each frame; of a frame that is no array, one."""
    frames: list[Any] = [codec.parse(frame) for frame in run.frames]
    return [[int(one["meta"]["offset"]) for one in (frame if type(frame) is list else [frame])] for frame in frames]


def numbered(first: int, last: int) -> Events:
    (events,) = together("numbers", map(event, range(first, last + 1)))
    return events


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
@pytest.mark.parametrize("count", [1, 2, 15, 16, 100])
def test_an_array_for_who_asked_and_a_frame_each_for_the_others(codec: Codec, count: int) -> None:
    events = numbered(3, 2 + count)
    (batched,), (single,) = events.runs(codec, is_batched=True), events.runs(codec, is_batched=False)
    assert offsets(codec, batched) == [[*range(3, 3 + count)]]
    assert offsets(codec, single) == [[seq] for seq in range(3, 3 + count)]
    assert (type(codec.parse(batched.frames[0])) is list) is (count > 1), "one event is no array"
    for run in (batched, single):
        assert run.newest == single.parcels[-1]
        assert run.size == sum(map(len, run.frames))
        assert run.frames == tuple(parcel.frame for parcel in run.parcels)


def test_those_for_whom_the_same_events_are_new_get_the_same_frame() -> None:
    events = numbered(1, 5)
    assert events.after(0) is events
    (rest,) = events.after(2).runs(JSON, is_batched=True)
    assert offsets(JSON, rest) == [[3, 4, 5]]
    (again,) = events.after(2).runs(JSON, is_batched=True)
    assert again.frames[0] is rest.frames[0]
    assert events.runs(JSON, is_batched=True)[0].frames[0] is events.runs(JSON, is_batched=True)[0].frames[0]


def test_what_a_codec_cannot_write_parts_the_run() -> None:
    """MessagePack has no integers beyond 64 bits."""
    parts = [event(1), event(2), event(3, b'{"n":%d}' % 2**70), event(4)]
    (events,) = together("numbers", parts)
    with capture_logs() as lines:
        runs = events.runs(MSGPACK, is_batched=True)
        assert events.runs(MSGPACK, is_batched=True) is runs
    assert [offsets(MSGPACK, run) for run in runs] == [[[1, 2]], [[4]]]
    assert [(line["event"], line["seq"]) for line in lines] == [("event_not_delivered", 3)], "once for all"


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(2, MAX_BYTES_TOGETHER)), max_size=300))
def test_each_once_in_order_and_within_bounds(steps: list[tuple[int, int]]) -> None:
    seq, given_events = 0, []
    for step, size in steps:
        seq += step
        given_events.append(event(seq, b'"' + b"x" * (size - 2) + b'"'))
    parts = list(together("numbers", given_events))
    assert [seq for part in parts for seq in range(part.first, part.last + 1)] == [seq for seq, _ in given_events]
    assert [frames for part in parts for frames in part.frames] == [frames for _, frames in given_events]
    for part in parts:
        assert len(part.frames) <= MAX_TOGETHER
        assert sum(frames.size for frames in part.frames[:-1]) < MAX_BYTES_TOGETHER
