"""Several packets of one connection at once, for ``WS_MAX_PARALLEL`` above 1.

A frame (one packet, or a batch, whose packets keep their order) gets a task; its reply is sent when it is ready.
Packets with the same lane run one after the other, in the order in which they came.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from starpost.auth.principal import Principal
from starpost.connections.outbox import Outbox
from starpost.errors import DuplicateRequestError
from starpost.packets.dispatcher import Dispatcher
from starpost.protocol.codecs import MALFORMED, BadPacket, Codec
from starpost.protocol.envelope import Packet
from starpost.topics.event import Frames

if TYPE_CHECKING:
    from starpost.connections.connection import Connection, Found


class _RunningFrame:
    """One frame on its way; to its packets, the ``Caller``."""

    def __init__(self, connection: "Connection", now: float) -> None:
        self.connection = connection
        self.id = connection.id
        self.address = connection.address
        self.codec: Codec = connection.codec
        self.task: asyncio.Task[None] | None = None
        self.packet: Packet | None = None
        self.deadline = now
        self.interrupted: str | None = None
        self.calls: list[Callable[[], None]] = []

    @property
    def principal(self) -> Principal | None:
        return self.connection.principal

    @property
    def allowed(self) -> frozenset[int]:
        return self.connection.allowed

    async def authenticate(self, token: str) -> Principal:
        return await self.connection.authenticate(token)

    def cancel(self, req_id: UUID) -> bool:
        return self.connection.cancel(req_id)

    @property
    def outbox(self) -> Outbox:
        return self.connection.outbox

    def push_frames(self, frames: Frames) -> None:
        self.connection.push_frames(frames)

    def after_reply(self, call: Callable[[], None]) -> None:
        """After this frame's reply, whichever others come before it."""
        self.calls.append(call)

    def interrupt(self, reason: str) -> None:
        if self.packet is not None and self.interrupted is None and self.task is not None:
            self.interrupted = reason
            self.task.cancel()


class ParallelPackets:
    """The packets of one connection that run now."""

    def __init__(self, connection: "Connection", dispatcher: Dispatcher, limit: int) -> None:
        self._connection = connection
        self._dispatcher = dispatcher
        self._slots = asyncio.Semaphore(limit)
        self._frames: dict[asyncio.Task[None], _RunningFrame] = {}
        self._lanes: dict[str, asyncio.Task[None]] = {}

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs."""
        return not self._frames

    async def run(self, found: "Found", now: float) -> None:
        """Start what a frame holds; waits while all slots are taken, so that the client waits too."""
        await self._slots.acquire()
        frame = _RunningFrame(self._connection, now)
        packets = found if isinstance(found, list) else [found]
        lanes = sorted({lane for packet in packets if (lane := self._lane(packet)) is not None})
        before = {self._lanes[lane] for lane in lanes if lane in self._lanes}
        task = asyncio.create_task(self._run(frame, found, before))
        frame.task = task
        self._frames[task] = frame
        self._lanes.update(dict.fromkeys(lanes, task))
        task.add_done_callback(self._done)

    def cancel(self, req_id: UUID) -> bool:
        """Interrupt the running packet with this id, unless it is the CANCEL itself; whether there was one."""
        asking = asyncio.current_task()
        for task, frame in self._frames.items():
            if task is not asking and frame.packet is not None and frame.packet.req_id == req_id:
                frame.interrupt("Cancelled by the client")
                return True
        return False

    def tick(self, now: float) -> None:
        """Interrupt what is over its time."""
        for frame in list(self._frames.values()):
            if now >= frame.deadline:
                frame.interrupt("The request took too long")

    def interrupt_all(self, reason: str) -> None:
        """Interrupt everything."""
        for frame in list(self._frames.values()):
            frame.interrupt(reason)

    async def finish(self) -> None:
        """Wait for what runs; the pulse goes on bounding it."""
        while self._frames:
            await asyncio.wait(self._frames)

    async def _run(self, frame: _RunningFrame, found: "Found", before: Iterable[asyncio.Task[None]]) -> None:
        if before:
            await asyncio.wait(before)
        if isinstance(found, list):
            reply = frame.codec.join([await self._answer(frame, packet) for packet in found])
        else:
            reply = await self._answer(frame, found)
        await self._connection.reply(reply)
        for call in frame.calls:
            call()

    async def _answer(self, frame: _RunningFrame, packet: Packet | BadPacket) -> bytes:
        packet = self._connection.unless_ending(packet)
        if isinstance(packet, BadPacket):
            return await self._dispatcher.answer(frame, packet)
        if any(other.packet is not None and other.packet.req_id == packet.req_id for other in self._frames.values()):
            return await self._dispatcher.answer(
                frame, BadPacket(DuplicateRequestError(), packet.pkg_id, packet.req_id)
            )
        frame.deadline = self._connection.deadline_of(packet)
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
        """The lane that the packet's declaration and its data name."""
        if isinstance(packet, BadPacket) or not packet.data:
            return None
        route = self._dispatcher.route(packet.pkg_id)
        if route is None or route.declaration.lane is None:
            return None
        try:
            members = self._connection.codec.parse(packet.data, dict[str, Any])
            return route.declaration.lane.format_map(members)
        except (*MALFORMED, KeyError):
            return None  # wrong data: the packet is refused anyway, in whatever order

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._frames[task]
        self._slots.release()
        for lane in [lane for lane, last in self._lanes.items() if last is task]:
            del self._lanes[lane]
        self._connection.frame_done(task)
