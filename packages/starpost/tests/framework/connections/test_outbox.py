"""The outbox alone, with a client whose reading the test decides."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from starpost.connections.outbox import GAP_SIZE, Outbox
from starpost.topics.event import Parcel, Run
from starpost.topics.topic import Overflow


class Source:
    def __init__(self, overflow: Overflow) -> None:
        self.overflow: Overflow = overflow
        self.name = overflow

    def gap_frame(self, first: int | None, last: int | None) -> str:
        return f"gap {first}-{last}"


class Client:
    """Takes a frame whenever the test says so."""

    def __init__(self, *, messages: int = 4, size: int = 10_000) -> None:
        self.got: list[str] = []
        self.overflows = 0
        self.drops: list[str] = []
        self._permits = asyncio.Semaphore(0)
        self.now = 0.0
        self.outbox = Outbox(
            self._send,
            "text",
            max_messages=messages,
            max_bytes=size,
            on_overflow=self._overflow,
            on_drop=lambda source: self.drops.append(source.name),
            clock=lambda: self.now,
        )

    async def _send(self, message: Any) -> None:
        await self._permits.acquire()
        assert message["type"] == "websocket.send"
        self.got.append(message["text"])

    def event(self, frame: str, source: Source, first: int, last: int | None = None) -> None:
        """Push an event, or those up to ``last`` in one frame."""
        parcel = Parcel(first, last or first, frame)
        newest = Parcel(parcel.last, parcel.last, f"event {parcel.last}") if last else parcel
        self.outbox.push_events(Run((parcel,), newest), source)

    def _overflow(self, _: object) -> None:
        self.overflows += 1

    async def read(self, count: int) -> list[str]:
        for _ in range(count):
            self._permits.release()
        before = len(self.got)
        for _ in range(5 * count + 5):
            await asyncio.sleep(0)
        assert len(self.got) == before + count
        return self.got[before:]


def bare(send: Any, **options: Any) -> Outbox:
    """An outbox whose overflows and drops nobody asks for."""
    return Outbox(
        send,
        "text",
        max_messages=4,
        max_bytes=100,
        on_overflow=lambda _: None,
        on_drop=lambda _: None,
        clock=lambda: 7.0,
        **options,
    )


async def test_replies_and_pushes_keep_their_order() -> None:
    client = Client()
    first = asyncio.create_task(client.outbox.write("reply 1"))
    await asyncio.sleep(0)
    assert client.outbox.is_written_by_owner
    client.outbox.push("push")
    second = asyncio.create_task(client.outbox.write("reply 2"))
    await asyncio.sleep(0)
    assert client.outbox.depth == 2
    assert await client.read(1) == ["reply 1"]
    assert first.done()
    assert not second.done()
    assert await client.read(2) == ["push", "reply 2"]
    await second
    assert client.outbox.writing_since is None
    assert client.outbox.waiting_bytes == 0


async def test_writing_since_is_told_while_a_frame_is_written() -> None:
    client = Client()
    client.now = 7.0
    client.outbox.push("a")
    assert client.outbox.writing_since == 7.0
    await client.read(1)
    assert client.outbox.writing_since is None


@pytest.mark.parametrize(("messages", "size"), [(2, 10_000), (100, 9)])
async def test_a_push_without_room_is_an_overflow(messages: int, size: int) -> None:
    client = Client(messages=messages, size=size)
    for frame in ("aaa", "bbb", "ccc", "ddd"):
        client.outbox.push(frame)
        await asyncio.sleep(0)
    if client.overflows == 0:
        client.outbox.push("eee")
    assert client.overflows == 1


async def test_drop_oldest_leaves_a_gap_in_its_place() -> None:
    client, source = Client(messages=3), Source("drop_oldest")
    client.outbox.push("reply")
    await asyncio.sleep(0)
    for seq in range(1, 8):
        client.event(f"event {seq}", source, seq)
    assert client.overflows == 0
    assert client.drops
    assert await client.read(4) == ["reply", "gap 1-5", "event 6", "event 7"]


async def test_drop_oldest_spares_what_is_not_its_own() -> None:
    client, mine, other = Client(messages=4), Source("drop_oldest"), Source("drop_oldest")
    client.outbox.push("reply")
    await asyncio.sleep(0)
    client.event("other 1", other, 1)
    for seq in range(1, 6):
        client.event(f"mine {seq}", mine, seq)
    client.event("other 2", other, 2)
    got = await client.read(5)
    assert got == ["reply", "gap 1-2", "gap 1-3", "mine 4", "mine 5"]
    assert client.overflows == 0


async def test_drop_oldest_by_bytes() -> None:
    size = 3 * GAP_SIZE
    client, source = Client(messages=100, size=size), Source("drop_oldest")
    client.outbox.push("reply")
    await asyncio.sleep(0)
    for seq in range(1, 5):
        client.event(f"{seq}" * GAP_SIZE, source, seq)
    assert client.outbox.waiting_bytes <= size
    got = await client.read(4)
    assert got[:2] == ["reply", "gap 1-2"]
    assert [frame[0] for frame in got[2:]] == ["3", "4"]
    assert client.outbox.waiting_bytes == 0


async def test_latest_keeps_one_event_waiting() -> None:
    client, source = Client(), Source("latest")
    client.outbox.push("reply")
    await asyncio.sleep(0)
    for seq in range(1, 6):
        client.event(f"event {seq}", source, seq)
    assert client.outbox.depth == 1
    assert await client.read(2) == ["reply", "event 5"]


async def test_close_ends_the_connection() -> None:
    client, source = Client(messages=1), Source("close")
    for seq in range(1, 4):
        client.event(f"event {seq}", source, seq)
        await asyncio.sleep(0)
    assert client.overflows == 1


async def test_events_that_travel_together_are_dropped_together() -> None:
    client, source = Client(messages=3), Source("drop_oldest")
    client.outbox.push("reply")
    await asyncio.sleep(0)
    client.event("event 1", source, 1)
    client.event("events 2-11", source, 2, 11)
    client.event("events 12-21", source, 12, 21)
    client.event("event 22", source, 22)
    client.event("events 23-32", source, 23, 32)
    assert client.drops
    assert await client.read(4) == ["reply", "gap 1-21", "event 22", "events 23-32"]


async def test_events_that_travel_together_count_by_their_bytes() -> None:
    client, source = Client(messages=100, size=3 * GAP_SIZE), Source("drop_oldest")
    client.outbox.push("reply")
    await asyncio.sleep(0)
    for first in (1, 11, 21):
        client.event("x" * (GAP_SIZE + 50), source, first, first + 9)
    assert client.outbox.waiting_bytes <= 3 * GAP_SIZE
    assert (await client.read(3))[:2] == ["reply", "gap 1-20"]
    assert client.outbox.waiting_bytes == 0


async def test_of_latest_events_that_travel_together_the_last_one_waits() -> None:
    client, source = Client(), Source("latest")
    client.outbox.push("reply")
    await asyncio.sleep(0)
    client.event("events 1-10", source, 1, 10)
    client.event("events 11-20", source, 11, 20)
    assert client.outbox.depth == 1
    assert await client.read(2) == ["reply", "event 20"]


async def test_a_client_that_reads_nothing_at_all_is_an_overflow_even_of_dropping_topics() -> None:
    client, source = Client(messages=1), Source("drop_oldest")
    client.outbox.push("being written")
    await asyncio.sleep(0)
    client.outbox.push("waiting")
    client.event("event", source, 1)
    assert client.overflows == 1


async def test_discard_leaves_nobody_waiting() -> None:
    client = Client()
    client.outbox.push("a")
    waiting = asyncio.create_task(client.outbox.write("b"))
    await asyncio.sleep(0)
    client.outbox.discard()
    await asyncio.wait_for(waiting, 100)
    client.outbox.push("c")
    assert client.outbox.depth == 0


async def test_discard_frees_who_waits_for_the_frame_that_is_being_written() -> None:
    client = Client()
    client.outbox.push("push")
    reply = asyncio.create_task(client.outbox.write("reply"))
    await asyncio.sleep(0)
    assert await client.read(1) == ["push"]
    assert client.outbox.depth == 0
    assert not reply.done()
    client.outbox.discard()
    await asyncio.wait_for(reply, 100)


async def test_flush_writes_what_waits_and_takes_nothing_more() -> None:
    client = Client()
    client.outbox.push("a")
    client.outbox.push("b")
    flushing = asyncio.create_task(client.outbox.flush())
    await asyncio.sleep(0)
    client.outbox.push("too late")
    assert await client.read(2) == ["a", "b"]
    await asyncio.wait_for(flushing, 100)


async def test_a_failing_send_frees_who_waits() -> None:
    async def fail(_: Any) -> None:
        await asyncio.sleep(0)
        raise RuntimeError("gone")

    outbox = bare(fail)
    with pytest.raises(RuntimeError):
        await outbox.write("a")
    assert outbox.writing_since is None


class EagerClient(Client):
    """A server whose ``send`` begins at the call and returns a future."""

    def __init__(self, **limits: int) -> None:
        super().__init__(**limits)
        self.began: list[str] = []
        self.taken: list[asyncio.Future[None]] = []
        self.outbox = Outbox(
            self._begin,
            "text",
            max_messages=limits.get("messages", 4),
            max_bytes=10_000,
            on_overflow=self._overflow,
            on_drop=lambda source: self.drops.append(source.name),
            clock=lambda: self.now,
            is_eager=True,
        )

    def _begin(self, message: Any) -> asyncio.Future[None]:
        # Never two at once: the server may write them in any order.
        assert all(taken.done() for taken in self.taken)
        self.began.append(message["text"])
        self.taken.append(asyncio.get_running_loop().create_future())
        return self.taken[-1]

    async def take(self) -> None:
        self.taken[-1].set_result(None)
        for _ in range(5):
            await asyncio.sleep(0)


async def test_nobody_waits_for_a_frame_that_is_handed_over() -> None:
    client = EagerClient()
    client.now = 7.0
    await client.outbox.write("reply 1")
    assert client.began == ["reply 1"]
    since = client.outbox.writing_since
    assert since == 7.0
    await client.take()
    assert client.outbox.writing_since is None
    client.outbox.push("push")
    await client.take()
    await client.outbox.write("reply 2")
    assert client.began == ["reply 1", "push", "reply 2"]


async def test_what_comes_while_a_frame_is_not_taken_waits_in_order() -> None:
    client = EagerClient()
    await client.outbox.write("reply 1")
    second = asyncio.create_task(client.outbox.write("reply 2"))
    await asyncio.sleep(0)
    client.outbox.push("push")
    assert client.outbox.depth == 2
    assert not client.outbox.is_written_by_owner
    for _ in range(2):
        await client.take()
    await asyncio.wait_for(second, 100)
    await client.take()
    assert client.began == ["reply 1", "reply 2", "push"]
    assert client.outbox.writing_since is None


async def test_a_push_does_not_overtake_what_waits_when_a_frame_has_just_been_taken() -> None:
    client = EagerClient()
    await client.outbox.write("reply")
    client.outbox.push("push 1")
    client.taken[-1].set_result(None)
    client.outbox.push("push 2")
    for _ in range(5):
        await asyncio.sleep(0)
    await client.take()
    await client.take()
    assert client.began == ["reply", "push 1", "push 2"]


async def test_a_frame_that_could_not_be_sent_is_found_by_the_next_reply() -> None:
    client = EagerClient()
    await client.outbox.write("a")
    client.taken[-1].set_exception(RuntimeError("gone"))
    with pytest.raises(RuntimeError):
        await client.outbox.write("b")


async def test_discard_gives_up_what_is_handed_over() -> None:
    client = EagerClient()
    await client.outbox.write("a")
    client.outbox.discard()
    assert client.taken[-1].cancelled()
    assert client.outbox.writing_since is None
    await asyncio.wait_for(client.outbox.flush(), 100)


async def test_discard_and_flush_with_a_frame_that_is_never_taken() -> None:
    client = EagerClient()
    await client.outbox.write("a")
    waiting = asyncio.create_task(client.outbox.write("b"))
    await asyncio.sleep(0)
    client.outbox.discard()
    await asyncio.wait_for(waiting, 100)
    await asyncio.wait_for(client.outbox.flush(), 100)


async def test_flush_waits_for_a_frame_that_is_handed_over() -> None:
    client = EagerClient()
    await client.outbox.write("a")
    flushing = asyncio.create_task(client.outbox.flush())
    await asyncio.sleep(0)
    assert not flushing.done()
    await client.take()
    await asyncio.wait_for(flushing, 100)


class Over:
    """What Granian returns for a socket that it has closed (no error), or a message that it cannot send."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    def __await__(self) -> Iterator[Any]:
        if self._error is not None:
            raise self._error
        yield from ()


def eager(answer: Any) -> Outbox:
    return bare(lambda _: answer, is_eager=True)


async def test_an_awaitable_that_is_no_future_is_taken_like_one() -> None:
    outbox = eager(Over())
    for _ in range(3):
        outbox.push("push")
        since = outbox.writing_since
        assert since == 7.0
        for _ in range(5):
            await asyncio.sleep(0)
        assert outbox.writing_since is None
        await outbox.write("reply")
    outbox.push("waits")
    await asyncio.wait_for(outbox.flush(), 100)
    assert outbox.depth == 0


async def test_its_error_is_found_by_the_next_reply() -> None:
    outbox = eager(Over(RuntimeError("gone")))
    outbox.push("push")
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError):
        await outbox.write("reply")


async def test_what_the_kernel_has_at_once_is_not_being_written() -> None:
    """At the second door: neither a frame, nor one behind several that leave in one write."""
    sent: list[Any] = []

    async def send(_: Any) -> None:
        raise AssertionError("frames go without a message around them")

    outbox = bare(send, is_eager=True, send_frame=sent.append, send_many=sent.extend)
    parcels = (Parcel(1, 1, "event 1"), Parcel(2, 2, "event 2"))
    for last in ("push", "reply"):
        outbox.push_events(Run(parcels), Source("close"))
        assert outbox.writing_since is None
        if last == "push":
            outbox.push(last)
        else:
            assert outbox.offer(last)
        assert outbox.writing_since is None
        assert outbox.offer("next")
    assert sent == ["event 1", "event 2", "push", "next", "event 1", "event 2", "reply", "next"]
