"""Execution of the packets of one connection: one frame at a time, which is ``Serial``.

The other way, for ``WS_MAX_PARALLEL`` above 1, is ``starpost.connections.parallel``.
"""

from collections.abc import Callable
from typing import Final, Protocol
from uuid import UUID

from starpost.connections.ending import Ending
from starpost.connections.intake import Found
from starpost.connections.outbox import Outbox
from starpost.connections.pulse import Pulse
from starpost.packets.caller import Caller
from starpost.packets.dispatcher import Dispatcher
from starpost.packets.numbers import SystemPacket
from starpost.protocol.codecs import BadPacket
from starpost.protocol.envelope import Packet

_CANCEL: Final = int(SystemPacket.CANCEL)

CANCELLED: Final = "Cancelled by the client"
TOO_LONG: Final = "The request took too long"


class Execution(Protocol):
    """Execution of the packets in a connection's frames; sends their replies."""

    @property
    def is_idle(self) -> bool:
        """True if no packet runs; read between two frames."""
        ...

    @property
    def interrupted(self) -> str | None:
        """Reason for which the packet in the connection's own task is cancelled on purpose; ``None`` if it is not."""
        ...

    @property
    def occupied_since(self) -> float | None:
        """Time, on the pulse's clock, since which the connection's own task reads no frames; ``None`` while it does."""
        ...

    async def run(self, found: Found) -> None:
        """Run the packets of a frame, or start to."""
        ...

    def tick(self, now: float) -> None:
        """Interrupt packets that are over their time."""
        ...

    def cancel(self, req_id: UUID) -> bool:
        """Interrupt the running packet with this id, and return whether there was one."""
        ...

    def interrupt(self, reason: str) -> None:
        """Interrupt all running packets."""
        ...

    def abandon_reply(self) -> None:
        """Stop waiting for a reply that the client does not read."""
        ...

    async def finish(self) -> None:
        """Wait for running packets; the pulse bounds their time."""
        ...

    def let_go(self) -> None:
        """Hold the connection no longer. No packet is run after this."""
        ...


class Serial:
    """Execution of one frame at a time, in the connection's own task.

    Args:
        caller: The connection, for its packets.
        dispatcher: Answers packets.
        outbox: Takes the replies.
        ending: Refuses packets that may not begin.
        pulse: Clock of the deadlines.
        max_timeout: Seconds that a packet may take at most.
        after_reply: Calls that wait for the next reply; emptied when it has been sent.
        cancel: Cancels the connection's own task.
        uncancel: Withdraws the cancellation.
    """

    __slots__ = (
        "_after_reply", "_caller", "_cancel", "_dispatcher", "_ending", "_max_timeout", "_outbox",
        "_pulse", "_running", "_started_at", "_uncancel", "interrupted",
    )  # fmt: skip

    is_idle = True
    """Between two frames nothing runs."""

    def __init__(
        self,
        caller: Caller,
        dispatcher: Dispatcher,
        outbox: Outbox,
        ending: Ending,
        pulse: Pulse,
        *,
        max_timeout: float,
        after_reply: list[Callable[[], None]],
        cancel: Callable[[], None],
        uncancel: Callable[[], None],
    ) -> None:
        self._caller = caller
        self._dispatcher = dispatcher
        self._outbox = outbox
        self._ending = ending
        self._pulse = pulse
        self._max_timeout = max_timeout
        self._after_reply = after_reply
        self._cancel = cancel
        self._uncancel = uncancel
        self._running: Packet | None = None
        self._started_at = 0.0
        self.interrupted: str | None = None

    @property
    def occupied_since(self) -> float | None:
        """See ``Execution``."""
        return None if self._running is None else self._started_at

    async def run(self, found: Found) -> None:
        """Run the packets of a frame one after the other. Returns when their reply has been handed over."""
        caller, codec = self._caller, self._caller.codec
        is_batch = type(found) is list
        replies = []
        for each in found if is_batch else (found,):  # type: ignore[union-attr]  # a list if it is one
            packet: Packet | BadPacket = each if self._ending.grace_until is None else self._ending.unless_over(each)  # type: ignore[assignment,arg-type]
            if type(packet) is Packet:
                self._started_at = self._pulse.now
                self._running = packet
            try:
                replies.append(await self._dispatcher.answer(caller, packet))
            finally:
                self._running = None
                if self.interrupted is not None:
                    self.interrupted = None
                    self._uncancel()
        frame = codec.frame(codec.join(replies) if is_batch else replies[0])
        # The usual case, without a coroutine for it.
        if not self._outbox.offer(frame):
            await self._outbox.write(frame)
        if self._after_reply:
            # Forgotten first: one of them may leave another.
            calls = self._after_reply.copy()
            self._after_reply.clear()
            for call in calls:
                call()

    def tick(self, now: float) -> None:
        """See ``Execution``."""
        running = self._running
        if running is not None and now >= self._started_at + time_for(running, self._max_timeout):
            self.interrupt(TOO_LONG)

    def cancel(self, req_id: UUID) -> bool:
        """See ``Execution``."""
        running = self._running
        # The running packet may be the CANCEL itself, which has no `await` to interrupt.
        if running is None or running.req_id != req_id or running.pkg_id == _CANCEL:
            return False
        self.interrupt(CANCELLED)
        return True

    def interrupt(self, reason: str) -> None:
        """Cancel the running packet. It is at an ``await`` of its own, so the cancellation is delivered to it."""
        if self.interrupted is None and self._running is not None:
            self.interrupted = reason
            self._cancel()

    def abandon_reply(self) -> None:
        """See ``Execution``."""
        if self._outbox.is_written_by_owner:
            self._cancel()

    async def finish(self) -> None:
        """See ``Execution``: nothing runs beside the connection's own task."""

    def let_go(self) -> None:
        """See ``Execution``."""
        del self._caller, self._cancel, self._uncancel


def time_for(packet: Packet, longest: float) -> float:
    """Return the seconds that a packet may take: its own timeout, within the limit."""
    return longest if packet.timeout_ms is None else min(longest, packet.timeout_ms / 1000)
