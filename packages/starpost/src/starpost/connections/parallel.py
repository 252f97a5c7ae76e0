"""Parallel execution of one connection's packets, for ``WS_MAX_PARALLEL`` above 1.

A frame (one packet, or a batch, whose packets keep their order) gets a task; its reply is sent when it is ready.
Packets with the same lane run one after the other, in the order in which they came.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol
from uuid import UUID

import structlog

from starpost.auth.principal import Principal
from starpost.connections.ending import Ending
from starpost.connections.execution import CANCELLED, TOO_LONG, time_for
from starpost.connections.intake import Found
from starpost.connections.pulse import Pulse
from starpost.errors import DuplicateRequestError
from starpost.packets.caller import Caller
from starpost.packets.dispatcher import Dispatcher
from starpost.protocol.close_codes import CloseCode, Verdict
from starpost.protocol.codecs import MALFORMED, BadPacket, Codec
from starpost.protocol.envelope import Packet
from starpost.topics.event import Frames
from starpost.topics.subscriber import EventOutbox, Subscriber

log = structlog.get_logger(__name__)


class _Sender(Caller, Subscriber, Protocol):
    """Sender of the packets: the connection."""


class _RunningFrame:
    """Running frame; for its packets, the ``Caller``."""

    __slots__ = ("_sender", "address", "calls", "codec", "deadline", "id", "interrupted", "packet", "task")

    def __init__(self, sender: _Sender, now: float) -> None:
        self._sender = sender
        self.id = sender.id
        self.address = sender.address
        self.codec: Codec = sender.codec
        self.task: asyncio.Task[None] | None = None
        self.packet: Packet | None = None
        self.deadline = now
        self.interrupted: str | None = None
        self.calls: list[Callable[[], None]] = []

    @property
    def principal(self) -> Principal | None:
        return self._sender.principal

    @property
    def allowed(self) -> frozenset[int]:
        return self._sender.allowed

    async def authenticate(self, token: str) -> Principal:
        return await self._sender.authenticate(token)

    def cancel(self, req_id: UUID) -> bool:
        return self._sender.cancel(req_id)

    @property
    def outbox(self) -> EventOutbox:
        return self._sender.outbox

    def push_frames(self, frames: Frames) -> None:
        self._sender.push_frames(frames)

    def after_reply(self, call: Callable[[], None]) -> None:
        """Call ``call`` after this frame's reply, even if other replies come before."""
        self.calls.append(call)

    def interrupt(self, reason: str) -> None:
        if self.packet is not None and self.interrupted is None and self.task is not None:
            self.interrupted = reason
            self.task.cancel()


class Parallel:
    """Execution of several frames at once, each in a task of its own.

    Args:
        sender: The connection, for its packets.
        dispatcher: Answers packets.
        ending: Refuses packets that may not begin.
        pulse: Clock of the deadlines.
        limit: Most frames at once.
        max_timeout: Seconds that a packet may take at most.
        reply: Sends a reply.
        on_idle: Called when no frame runs any more.
    """

    __slots__ = (
        "_dispatcher", "_ending", "_frames", "_lanes", "_max_timeout", "_on_idle", "_pulse", "_reply", "_sender",
        "_slots", "occupied_since",
    )  # fmt: skip

    interrupted = None
    """No packet runs in the connection's own task."""

    def __init__(
        self,
        sender: _Sender,
        dispatcher: Dispatcher,
        ending: Ending,
        pulse: Pulse,
        *,
        limit: int,
        max_timeout: float,
        reply: Callable[[bytes], Awaitable[None]],
        on_idle: Callable[[], None],
    ) -> None:
        self._sender = sender
        self._dispatcher = dispatcher
        self._ending = ending
        self._pulse = pulse
        self._slots = asyncio.Semaphore(limit)
        self._max_timeout = max_timeout
        self._reply = reply
        self._on_idle = on_idle
        self._frames: dict[asyncio.Task[None], _RunningFrame] = {}
        self._lanes: dict[str, asyncio.Task[None]] = {}
        self.occupied_since: float | None = None
        """See ``Execution``: since when it waits for a slot, or for the last of them to end."""

    @property
    def is_idle(self) -> bool:
        """True if no frame runs."""
        return not self._frames

    async def run(self, found: Found) -> None:
        """Start the packets of a frame. Waits while all slots are taken, so that the client waits too."""
        self.occupied_since = self._pulse.now
        try:
            await self._slots.acquire()
        finally:
            self.occupied_since = None
        frame = _RunningFrame(self._sender, self._pulse.now)
        packets = found if isinstance(found, list) else [found]
        lanes = sorted({lane for packet in packets if (lane := self._lane(packet)) is not None})
        before = {self._lanes[lane] for lane in lanes if lane in self._lanes}
        task = asyncio.create_task(self._run(frame, found, before))
        frame.task = task
        self._frames[task] = frame
        self._lanes.update(dict.fromkeys(lanes, task))
        task.add_done_callback(self._done)

    def cancel(self, req_id: UUID) -> bool:
        """Interrupt the running packet with this id, except CANCEL itself, and return whether there was one."""
        asking = asyncio.current_task()
        for task, frame in self._frames.items():
            if task is not asking and frame.packet is not None and frame.packet.req_id == req_id:
                frame.interrupt(CANCELLED)
                return True
        return False

    def tick(self, now: float) -> None:
        """Interrupt packets that are over their time."""
        for frame in list(self._frames.values()):
            if now >= frame.deadline:
                frame.interrupt(TOO_LONG)

    def interrupt(self, reason: str) -> None:
        """Interrupt everything."""
        for frame in list(self._frames.values()):
            frame.interrupt(reason)

    def abandon_reply(self) -> None:
        """See ``Execution``: waiting tasks here wait for the outbox, which drops its frames."""

    async def finish(self) -> None:
        """Wait for running frames; the pulse still bounds their time."""
        self.occupied_since = self._pulse.now
        while self._frames:
            await asyncio.wait(self._frames)
        self.occupied_since = None

    def let_go(self) -> None:
        """See ``Execution``. Frames that a cancelled server leaves behind keep the connection until they end."""
        if not self._frames:
            del self._sender, self._reply, self._on_idle

    async def _run(self, frame: _RunningFrame, found: Found, before: Iterable[asyncio.Task[None]]) -> None:
        if before:
            await asyncio.wait(before)
        if isinstance(found, list):
            reply = frame.codec.join([await self._answer(frame, packet) for packet in found])
        else:
            reply = await self._answer(frame, found)
        await self._reply(reply)
        for call in frame.calls:
            call()

    async def _answer(self, frame: _RunningFrame, packet: Packet | BadPacket) -> bytes:
        packet = self._ending.unless_over(packet)
        if isinstance(packet, BadPacket):
            return await self._dispatcher.answer(frame, packet)
        if any(other.packet is not None and other.packet.req_id == packet.req_id for other in self._frames.values()):
            return await self._dispatcher.answer(
                frame, BadPacket(DuplicateRequestError(), packet.pkg_id, packet.req_id)
            )
        frame.deadline = self._pulse.now + time_for(packet, self._max_timeout)
        frame.packet = packet
        try:
            return await self._dispatcher.answer(frame, packet)
        finally:
            frame.packet = None
            if frame.interrupted is not None:
                frame.interrupted = None
                if frame.task is not None:
                    frame.task.uncancel()

    def _lane(self, packet: Packet | BadPacket) -> str | None:
        """Return the lane of a packet, from its declaration and its data; ``None`` if it has none."""
        if isinstance(packet, BadPacket) or not packet.data:
            return None
        route = self._dispatcher.route(packet.pkg_id)
        if route is None or route.declaration.lane is None:
            return None
        try:
            members = self._sender.codec.parse(packet.data, dict[str, Any])
            return route.declaration.lane.format_map(members)
        except (*MALFORMED, KeyError):
            return None  # wrong data: the packet is refused anyway, in whatever order

    def _done(self, task: asyncio.Task[None]) -> None:
        # A cancelled task holds its frame by the traceback, and a call the subscription, which holds it, too: together
        # they would wait for the garbage collector.
        frame = self._frames.pop(task)
        frame.task = None
        frame.calls.clear()
        self._slots.release()
        for lane in [lane for lane, last in self._lanes.items() if last is task]:
            del self._lanes[lane]
        if task.cancelled() or task.exception() is not None:
            # A handler may have cancelled its own task. Its client would wait for ever.
            cause = None if task.cancelled() else task.exception()
            log.error("frame_failed", connection_id=self._sender.id, exc_info=cause)
            self._ending.stop(Verdict(CloseCode.INTERNAL_ERROR, "internal_error"))
        if not self._frames:
            self._on_idle()
