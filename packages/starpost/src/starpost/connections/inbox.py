"""Inbox: frames that were read and wait for their turn."""

from collections import deque
from sys import getsizeof
from typing import Any


class Inbox(deque[Any]):
    """Frames that a connection reads while its packets run, in order. ASGI messages; the last may be a disconnect.

    The bound is memory, not a number of frames: a client that leaves is only noticed behind all that it has sent, so
    that many small frames must fit. When there is no room, nobody reads, and TCP makes the client wait.
    """

    __slots__ = ("_size",)

    def __init__(self) -> None:
        super().__init__()
        self._size = 0

    def has_room(self, limit: int) -> bool:
        """Return whether another frame may be read. The inbox exceeds the limit by one frame at most.

        Args:
            limit: Bytes of memory.
        """
        return self._size < limit

    def put(self, message: Any) -> None:
        """Keep a message."""
        self._size += _size_of(message)
        self.append(message)

    def take(self) -> Any:
        """Remove and return the oldest message."""
        message = self.popleft()
        self._size -= _size_of(message)
        return message

    def skip_to_last(self) -> None:
        """Drop all but the newest message."""
        while len(self) > 1:
            self.take()


def _size_of(message: Any) -> int:
    """Return the bytes of memory: one to four per character of a text frame, and some hundreds per message."""
    return getsizeof(message) + sum(map(getsizeof, message.values()))
