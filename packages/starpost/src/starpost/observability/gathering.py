"""Lines that are written together.

To write a line costs a request more than to make it: the write lets go of the interpreter's lock, and the server's
thread and ours change places. Access logs are gathered elsewhere too (nginx: ``access_log ... buffer= flush=``).
"""

import asyncio
import sys
from time import monotonic
from typing import Final

LONGEST_WAIT: Final = 0.1
"""Seconds. A worker that is killed loses the lines of so long."""

PIECE: Final = 4096
"""Characters written at once: a pipe takes so many bytes in one piece (POSIX ``PIPE_BUF``), so that the lines of
several workers do not run into each other."""


class GatheringOutput:
    """A logger for structlog to wrap; its lines wait for each other, in the event loop of whoever writes them.

    Args:
        name: Of the logger.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._lines: list[str] = []
        self._size = 0
        self._due = 0.0

    def msg(self, line: str) -> None:
        """Take one line; it is written within ``LONGEST_WAIT``."""
        size = len(line) + 1
        if self._size + size > PIECE:
            self.flush()
        self._lines.append(line)
        self._size += size
        now = monotonic()
        # Also when an earlier loop has ended before its time came.
        if now >= self._due:
            self._due = now + LONGEST_WAIT
            # Asked for when it is needed: to find the loop, Python asks the kernel for the process's number.
            asyncio.get_running_loop().call_later(LONGEST_WAIT, self.flush)

    debug = info = warning = error = critical = msg

    def flush(self) -> None:
        """Write what is there."""
        if self._lines:
            text = "\n".join([*self._lines, ""])
            self._lines.clear()
            self._size = 0
            sys.stdout.write(text)
            sys.stdout.flush()
