"""Signals that arrive between two runs of the event loop.

Granian runs a worker's loop twice: for the start of the lifespan, then to serve. uvloop handles signals only while it
runs. It notes one that arrives in between, but handles it with the next signal, which may never come: a worker that is
asked to stop at that moment would serve until it is killed.

Python writes each signal's number to a wake-up descriptor (``signal.set_wakeup_fd``). uvloop sets its own when it
begins to run, and restores the former one when it pauses. So our descriptor receives exactly the signals that uvloop
misses.
"""

import asyncio
import signal
import socket
from typing import Final

LONGEST_READ: Final = 512
"""Signals that one read takes, one byte each."""


class MissedSignals:
    """Record of signals that arrive while the loop does not run; they are raised again when it does.

    Make it in the main thread, before the loop runs for the first time.
    """

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)

    def repeat_in(self, loop: asyncio.AbstractEventLoop) -> None:
        """Raise the missed signals again in this loop, whenever it runs."""
        loop.add_reader(self._reader, self._repeat)

    def _repeat(self) -> None:
        for number in set(self._reader.recv(LONGEST_READ)):
            signal.raise_signal(number)
