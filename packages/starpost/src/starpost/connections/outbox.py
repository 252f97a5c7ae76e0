"""Queue of frames for one client, bounded in messages and bytes.

Replies are sent by the connection's own task; pushes come from anywhere in the worker. Granian takes frames of one
socket one after the other, so exactly one task is the writer at any time. A frame that comes while another is being
written waits in the queue. An idle connection has no task and no timer of its own here.

Where the server begins to write at the call, as Granian does, no task waits for the end of the write: the frame is
handed over, and the next caller checks whether it has been taken. Waiting would wake this thread once more for each
packet, a third of a packet's cost, and an event would cost a task. Our own listener also takes the frames of several
events in one write.

If there is no room for an event, its topic decides: the connection ends, or the topic's oldest waiting events make room
and a GAP takes their place. Of a ``latest`` topic at most one event waits.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import structlog

from starpost.connections.transport import Send, SendFrame, SendMany, gone
from starpost.topics.event import Parcel, Run
from starpost.topics.subscriber import EventSource

log = structlog.get_logger(__name__)

GAP_SIZE: Final = 200
"""Bytes that a gap is counted with while it waits."""

Frame = str | bytes


class _Waiting:
    """A frame that waits; of an event also where it comes from, and its number."""

    __slots__ = ("first", "frame", "last", "source", "written")

    def __init__(
        self,
        frame: Frame | None,
        written: asyncio.Future[None] | None = None,
        source: EventSource | None = None,
        first: int | None = None,
        last: int | None = None,
    ) -> None:
        self.frame = frame
        """Frame to send; ``None`` for a gap from ``first`` to ``last``, which may grow until its frame is made."""
        self.written = written
        self.source = source
        self.first = first
        self.last = last

    @property
    def size(self) -> int:
        return GAP_SIZE if self.frame is None else len(self.frame)

    def content(self) -> Frame:
        if self.frame is None and self.source is not None:
            return self.source.gap_frame(self.first, self.last)
        return self.frame or ""

    def release(self) -> None:
        """Wake the task that waits for the writing: the frame is written, or never will be."""
        if self.written is not None and not self.written.done():
            self.written.set_result(None)


def _nobody(_: EventSource | None) -> None:
    """In the place of a connection that was let go: a closed outbox has nothing to tell."""


class Outbox:
    """Outbox of a connection.

    Args:
        send: ASGI ``send``.
        frame_key: ``text`` or ``bytes``.
        max_messages: Frames that may wait.
        max_bytes: Bytes (characters of a text frame) that may wait.
        on_overflow: Called with its source when a frame finds no room and the client has to go: a reply, a push, or an
            event of a topic that wants it so.
        on_drop: Called with their source when events of a dropping topic have made room.
        clock: The worker's coarse clock, seconds.
        is_eager: ``send`` begins at the call and returns a future, or an awaitable that is over already.
        send_frame: Sends a frame, as eagerly as ``send``, and returns ``None`` if the kernel has it; ``None`` if the
            server cannot.
        send_many: Sends frames in one write, and returns ``None`` if the kernel has them; ``None`` if the server
            cannot.
    """

    __slots__ = (
        "_clock", "_frame_key", "_handed", "_is_closed", "_is_eager", "_max_bytes", "_max_messages", "_on_drop",
        "_on_overflow", "_queue", "_send", "_send_frame", "_send_many", "_task", "_waiting_bytes", "_writing_since",
    )  # fmt: skip

    def __init__(
        self,
        send: Send,
        frame_key: str,
        *,
        max_messages: int,
        max_bytes: int,
        on_overflow: Callable[[EventSource | None], None],
        on_drop: Callable[[EventSource], None],
        clock: Callable[[], float],
        is_eager: bool = False,
        send_frame: SendFrame | None = None,
        send_many: SendMany | None = None,
    ) -> None:
        self._send: Callable[[Any], Any] = send
        self._send_frame = send_frame
        self._send_many = send_many if is_eager else None
        self._frame_key = frame_key
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._on_overflow = on_overflow
        self._on_drop = on_drop
        self._clock = clock
        self._queue: deque[_Waiting] = deque()
        self._waiting_bytes = 0
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False
        self._is_eager = is_eager
        self._handed: Any = None
        """Future of the frame that was handed over last, until it is checked."""
        self._writing_since: float | None = None

    @property
    def writing_since(self) -> float | None:
        """Time at which the frame that is being written was handed to the server; ``None`` while none is."""
        # While a task writes, a frame that has been taken is not the last.
        if self._task is None and self._handed is not None and self._handed.done():
            return None
        return self._writing_since

    @property
    def is_written_by_owner(self) -> bool:
        """True while the connection's own task is in ``write``."""
        return self._writing_since is not None and self._task is None and self._handed is None

    @property
    def depth(self) -> int:
        """Number of frames that wait behind the one being written."""
        return len(self._queue)

    @property
    def waiting_bytes(self) -> int:
        """Size of the waiting frames."""
        return self._waiting_bytes

    def offer(self, frame: Frame) -> bool:
        """Hand a reply over at once if no frame is before it, and return whether it was; otherwise call ``write``.

        Raises:
            Exception: The frame before it could not be sent: the client has left.
        """
        if self._handed is not None:
            self._settle()
        if self._writing_since is not None or not self._is_eager:
            return False
        self._hand_over(frame)
        return True

    async def write(self, frame: Frame) -> None:
        """Send a reply after all waiting frames. Returns when the server has it.

        Raises:
            Exception: This frame, or the one that was handed over before it, could not be sent: the client has left.
        """
        if self.offer(frame):
            return
        if self._writing_since is not None:
            written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            if self._enqueue(_Waiting(frame, written)):
                await written
            return
        self._writing_since = self._clock()
        try:
            await self._send({"type": "websocket.send", self._frame_key: frame})
        finally:
            self._writing_since = None
            if self._queue:
                self._start()

    def push(self, frame: Frame) -> None:
        """Send a frame without waiting. Without room for it, ``on_overflow`` is called instead."""
        if self._is_free and len(frame) <= self._max_bytes:
            self._hand_over(frame)
        else:
            self._enqueue(_Waiting(frame))

    def push_events(self, run: Run, source: EventSource) -> None:
        """See ``EventOutbox``."""
        send_many, before = self._send_many, self._handed
        if (
            send_many is not None
            and (before is None or before.done())
            and self._task is None
            and not self._is_closed
            and run.size <= self._max_bytes
        ):
            # As `_is_free`, without a call for each delivery at the second door.
            if (handed := send_many(run.frames)) is not before:
                self._keep(handed)
            return
        if self._is_free and run.size <= self._max_bytes:
            if len(run.frames) == 1:
                self._hand_over(run.frames[0])
                return
        elif source.overflow == "latest":
            self._push_event(run.newest, source)
            return
        for parcel in run.parcels:
            self._push_event(parcel, source)

    def _push_event(self, parcel: Parcel, source: EventSource) -> None:
        if source.overflow == "latest" and self._replace(parcel, source):
            return
        event = _Waiting(parcel.frame, None, source, parcel.first, parcel.last)
        if source.overflow == "drop_oldest" and not self._has_room(event):
            self._make_room(event, source)
        else:
            self._enqueue(event)

    def push_gap(self, source: EventSource, first: int | None, last: int | None) -> None:
        """See ``EventOutbox``."""
        self._enqueue(_Waiting(None, None, source, first, last))

    async def flush(self) -> None:
        """Accept no more frames, and wait until all are written."""
        self._is_closed = True
        if self._handed is not None and self._task is None:
            self._start()
        # A task that is cancelled before it first runs is done, and cannot say so itself.
        while self._task is not None and not self._task.done():
            # Not `shield`: when `discard` cancels the task, the waiting caller must not be cancelled.
            await asyncio.wait([self._task])

    def let_go(self) -> None:
        """Release the server's ``send`` and the connection. No frame is written after this."""
        self.discard()
        self._send = gone
        self._send_frame = self._send_many = None
        self._on_overflow = self._on_drop = _nobody

    def discard(self) -> None:
        """Drop waiting frames; the client has left."""
        self._is_closed = True
        if self._task is not None:
            self._task.cancel()
        elif self._handed is not None:
            self._handed.cancel()
            self._handed = self._writing_since = None
        self._forget()

    @property
    def _is_free(self) -> bool:
        """True if a frame can be handed over at once: none is before it."""
        return (
            self._is_eager
            and self._task is None
            and not self._is_closed
            and (self._handed is None or bool(self._handed.done()))
        )

    def _has_room(self, waiting: _Waiting) -> bool:
        return len(self._queue) < self._max_messages and self._waiting_bytes + waiting.size <= self._max_bytes

    def _enqueue(self, waiting: _Waiting) -> bool:
        if self._is_closed:
            return False
        if not self._has_room(waiting):
            self._on_overflow(waiting.source)
            return False
        self._append(waiting)
        return True

    def _append(self, waiting: _Waiting) -> None:
        if self._is_eager and self.writing_since is None:
            self._hand_over(waiting.content())
            return
        self._queue.append(waiting)
        self._waiting_bytes += waiting.size
        if self._task is None and not self.is_written_by_owner:
            self._start()

    def _replace(self, newest: Parcel, source: EventSource) -> bool:
        """Replace the waiting event of the topic by this one, and return whether there was one."""
        for waiting in self._queue:
            if waiting.source is source and waiting.frame is not None:
                self._waiting_bytes += len(newest.frame) - waiting.size
                waiting.first, waiting.last, waiting.frame = newest
                return True
        return False

    def _make_room(self, event: _Waiting, source: EventSource) -> None:
        """Drop the topic's oldest waiting events until there is room. A gap takes their place."""
        if self._is_closed:
            return
        mine = [waiting for waiting in self._queue if waiting.source is source]
        gap: _Waiting | None = None
        for waiting in mine:
            if self._has_room(event):
                break
            if gap is None or gap.last is None:
                # The first one becomes the gap, and keeps its place in the queue.
                self._waiting_bytes -= waiting.size
                waiting.frame = None
                self._waiting_bytes += waiting.size
                gap = waiting
            else:
                gap.last = waiting.last
                self._queue.remove(waiting)
                self._waiting_bytes -= waiting.size
        if self._has_room(event):
            self._append(event)
        elif gap is not None:
            gap.last = event.last
        else:
            # Other frames take all the room, so this client reads nothing at all.
            self._on_overflow(source)
            return
        self._on_drop(source)

    def _start(self) -> None:
        # Set here, not in the task, so that a frame that comes before the task first runs finds a writer.
        if self._handed is None:
            self._writing_since = self._clock()
        self._task = asyncio.create_task(self._write_queue())

    async def _write_queue(self) -> None:
        waiting: _Waiting | None = None
        try:
            if self._handed is not None:
                await self._handed
                self._handed = None
            while self._queue:
                waiting = self._queue.popleft()
                self._waiting_bytes -= waiting.size
                self._writing_since = self._clock()
                await self._send({"type": "websocket.send", self._frame_key: waiting.content()})
                waiting.release()
        except Exception as error:  # noqa: BLE001 - the client is gone, as the connection's own task will read
            log.debug("frame_not_sent", reason=str(error))
        finally:
            # After an error or a cancellation the socket is lost: no task may wait for a frame that will not be sent,
            # including the one that was being written.
            if waiting is not None:
                waiting.release()
            self._forget()
            self._handed = self._writing_since = None
            self._task = None

    def _hand_over(self, frame: Frame) -> None:
        if self._send_frame is not None:
            if (handed := self._send_frame(frame)) is not self._handed:
                self._keep(handed)
            return
        taken = self._send({"type": "websocket.send", self._frame_key: frame})
        # Granian returns a future of its own. For a closed socket, or a message that it cannot send, it returns an
        # awaitable that has only `__await__`, of which a task makes a future.
        self._keep(taken if hasattr(taken, "done") else asyncio.ensure_future(taken))

    def _keep(self, handed: Any) -> None:
        """Keep the future of what was handed over, and its time; ``None`` if it is taken, as all before it is."""
        self._handed = handed
        self._writing_since = None if handed is None else self._clock()

    def _settle(self) -> None:
        """Check whether the frame that was handed over has been taken; raise if it could not be sent."""
        if self._task is None and self._handed.done():
            handed, self._handed, self._writing_since = self._handed, None, None
            handed.result()

    def _forget(self) -> None:
        while self._queue:
            self._queue.popleft().release()
        self._waiting_bytes = 0
