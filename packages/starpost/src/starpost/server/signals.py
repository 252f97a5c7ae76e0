"""Signals between two runs of the event loop.

Granian runs a worker's loop twice: for the start of the lifespan, then to serve. uvloop listens to signals only while
it runs. In between, it notes a signal but handles it with the next one, which never comes: a worker that is asked to
stop in that moment would serve on until it is killed.

Python writes each signal's number to a wake-up descriptor (``signal.set_wakeup_fd``). uvloop sets its own when it
begins to run, and puts back the former when it pauses. So ours is told exactly of what uvloop misses.
"""

import asyncio
import signal
import socket
from typing import Final

LONGEST_READ: Final = 512
"""Signals that are read at once, one byte each."""


class MissedSignals:
    """The signals that arrive while the loop does not run; they are raised again when it does.

    Made in the main thread, before the loop runs for the first time.
    """

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)

    def repeat_in(self, loop: asyncio.AbstractEventLoop) -> None:
        """Raise them again in this loop, whenever it runs."""
        loop.add_reader(self._reader, self._repeat)

    def _repeat(self) -> None:
        for number in set(self._reader.recv(LONGEST_READ)):
            signal.raise_signal(number)
