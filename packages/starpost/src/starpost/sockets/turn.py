"""Turn of the loop: replies to frames that have come together leave together, at its end.

Each write to a socket may wake the process at its other end, and brings the kernel's code into the caches in place of
ours. With many clients that send at once, a packet costs a tenth less when the packets of a turn run first. While
clients send one at a time there is nothing to gain, and the end of a turn would cost each packet half a microsecond. So
most replies do not wait for it then.
"""

import asyncio
from typing import Final, Protocol

MOST: Final = 16
"""Most clients whose replies wait for each other. With more, the first ones are out of the caches again."""

CALM: Final = 32
"""Frames that are answered at once, after a turn with one client."""


class Gathering(Protocol):
    """Client whose replies wait for the end of the turn."""

    def release(self) -> None:
        """Write them."""
        ...


class Turn:
    """The present turn of a worker's loop.

    Args:
        loop: The loop.
    """

    __slots__ = ("_added", "_calm", "_clients", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._clients: list[Gathering] = []
        self._added = 0
        self._calm = 0

    def is_shared(self) -> bool:
        """Return whether other clients are likely to send in this turn, too. To be asked once for each frame."""
        if self._calm:
            self._calm -= 1
            return False
        return True

    def add(self, client: Gathering) -> None:
        """Release a client at the end of the turn, or before it, with ``MOST`` others."""
        if not self._added:
            self.loop.call_soon(self._end)
        self._added += 1
        self._clients.append(client)
        if len(self._clients) == MOST:
            self._release()

    def _end(self) -> None:
        if self._added == 1:
            self._calm = CALM
        self._added = 0
        self._release()

    def _release(self) -> None:
        clients, self._clients = self._clients, []
        for client in clients:
            client.release()
