"""Reads on while a connection's packets run, so that PING and CANCEL are answered, and a client that leaves is noticed.

A packet that is done within a tick has no attendant: the pulse calls it for one that is not.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from starpost.connections.ending import Ending
from starpost.connections.inbox import Inbox
from starpost.connections.intake import Intake
from starpost.connections.transport import Receive, frame_in, gone
from starpost.protocol.envelope import Packet


class Attendant:
    """Reads the frames that come meanwhile, and keeps them in order.

    Args:
        receive: ASGI ``receive``.
        intake: Tells control packets from others.
        ending: No frame is read when the client is gone.
        is_needed: True while the connection's own task reads no frames.
        answer: Answers a control packet at once.
        on_gone: Called when the client has left.
    """

    __slots__ = ("_answer", "_ending", "_intake", "_is_needed", "_on_gone", "_receive", "inbox", "task")

    def __init__(
        self,
        receive: Receive,
        intake: Intake,
        ending: Ending,
        *,
        is_needed: Callable[[], bool],
        answer: Callable[[Packet], Awaitable[None]],
        on_gone: Callable[[], None],
    ) -> None:
        self._receive = receive
        self._intake = intake
        self._ending = ending
        self._is_needed = is_needed
        self._answer = answer
        self._on_gone = on_gone
        self.inbox = Inbox()
        """The frames whose turn has not come."""
        self.task: asyncio.Task[None] | None = None
        """Set while it reads: it has a read pending then, and two readers would race."""

    @property
    def has_next(self) -> bool:
        """True if the next frame comes from here: it has read ahead, or reads now."""
        return bool(self.inbox) or self.task is not None

    def begin(self) -> None:
        """Read while there is room. It ends with the first frame that it keeps after all packets have ended."""
        if self.task is None and self._may_read:
            self.task = asyncio.create_task(self._read())

    async def end(self) -> None:
        """Stop reading."""
        if self.task is not None:
            self.task.cancel()
            with suppress(asyncio.CancelledError):
                await self.task

    def take(self) -> Any:
        """Return the next message of the inbox, or the disconnect at once if no packet may run any more."""
        if self._ending.is_client_gone and self._ending.is_grace_over:
            self.inbox.skip_to_last()
        return self.inbox.take()

    def let_go(self) -> None:
        """Hold the server's end and the connection no longer."""
        self._receive = gone
        del self._is_needed, self._answer, self._on_gone

    @property
    def _may_read(self) -> bool:
        return not self._ending.is_client_gone and self.inbox.has_room(self._intake.room)

    async def _read(self) -> None:
        try:
            while self._may_read:
                message = await self._receive()
                if message["type"] == "websocket.disconnect":
                    self.inbox.put(message)
                    self._on_gone()
                    return
                frame = frame_in(message)
                if not self._intake.fits(frame):
                    return
                control = self._intake.control(frame)
                if control is None:
                    self.inbox.put(message)
                    if not self._is_needed():
                        return
                elif not self._intake.is_pong(control):
                    await self._answer(control)
        finally:
            self.task = None
