"""Buffered log output: lines that are written together.

Writing a line costs a request more than making it: the write releases the interpreter's lock, and the server's thread
takes over. nginx buffers its access log too (``access_log ... buffer= flush=``).
"""

import asyncio
import sys
from time import monotonic
from typing import Final

LONGEST_WAIT: Final = 0.1
"""Longest time, in seconds, that a line waits. A worker that is killed loses the lines of this time."""

PIECE: Final = 4096
"""Characters in one write. A pipe takes this many bytes in one piece (Linux: ``PIPE_BUF``), so lines of several workers
do not interleave."""


class GatheringOutput:
    """Logger for structlog to wrap. It keeps lines, and writes them together from the caller's event loop.

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
        # Compared with the clock, not kept as a flag: an earlier loop may have ended before its call was due.
        if now >= self._due:
            self._due = now + LONGEST_WAIT
            # Looked up only here: to find the running loop, Python asks the kernel for the process id.
            asyncio.get_running_loop().call_later(LONGEST_WAIT, self.flush)

    debug = info = warning = error = critical = msg

    def flush(self) -> None:
        """Write the lines that wait."""
        if self._lines:
            text = "\n".join([*self._lines, ""])
            self._lines.clear()
            self._size = 0
            sys.stdout.write(text)
            sys.stdout.flush()
