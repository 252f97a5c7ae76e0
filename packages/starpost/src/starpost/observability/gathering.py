"""Buffered log output: lines that are made and written together.

Writing a line costs a request more than making it: the write releases the interpreter's lock, and the server's thread
takes over. Making one for each request costs several times what it does in a row, where the processor still has the
code in its caches. nginx buffers its access log too (``access_log ... buffer= flush=``).
"""

import asyncio
import sys
from collections.abc import Callable
from time import monotonic
from typing import Final, Generic, TypeVar

E = TypeVar("E")

LONGEST_WAIT: Final = 0.1
"""Longest time, in seconds, that a line waits. A worker that is killed loses the lines of this time."""

PIECE: Final = 4096
"""Characters in one write. A pipe takes this many bytes in one piece (Linux: ``PIPE_BUF``), so lines of several workers
do not interleave."""


TOGETHER: Final = 16
"""Lines that are made and written together; so many of the usual length fill a piece."""


class GatheringOutput(Generic[E]):
    """Logger for structlog to wrap. It keeps entries, and writes their lines together from the caller's event loop.

    Args:
        name: Of the logger.
        line_of: Returns the line of an entry.
    """

    def __init__(self, name: str, line_of: Callable[[E], str]) -> None:
        self.name = name
        self._line_of = line_of
        self._entries: list[E | str] = []
        self._due = 0.0

    def add(self, entry: E | str) -> None:
        """Take an entry, or a line that was made already; it is written within ``LONGEST_WAIT``."""
        self._entries.append(entry)
        if len(self._entries) >= TOGETHER:
            self.flush()
            return
        now = monotonic()
        # Compared with the clock, not kept as a flag: an earlier loop may have ended before its call was due.
        if now >= self._due:
            self._due = now + LONGEST_WAIT
            # Looked up only here: to find the running loop, Python asks the kernel for the process id.
            asyncio.get_running_loop().call_later(LONGEST_WAIT, self.flush)

    msg = debug = info = warning = error = critical = add

    def flush(self) -> None:
        """Write the lines that wait."""
        entries, self._entries = self._entries, []
        piece = ""
        for entry in entries:
            line = (entry if isinstance(entry, str) else self._line_of(entry)) + "\n"
            if piece and len(piece) + len(line) > PIECE:
                sys.stdout.write(piece)
                piece = ""
            piece += line
        if piece:
            sys.stdout.write(piece)
            sys.stdout.flush()
