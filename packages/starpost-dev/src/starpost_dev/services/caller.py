"""Whether those who started a command are still there."""

from __future__ import annotations

import os
import sys


class Caller:
    """The parent and the terminal of this process, looked at once at its start and again on demand.

    A parent that is killed takes no child along. And of a terminal that closes only the leader of the process session
    hears: where that is `make` itself, as under `ssh -t host make serve`, it goes on waiting for its child.

    Args:
        with_parent: Count the parent; a command that a shell has put into the background goes on without it.
    """

    def __init__(self, *, with_parent: bool) -> None:
        self._parent = os.getppid() if with_parent else None
        self._terminals = [
            stream.fileno() for stream in (sys.stdin, sys.stdout) if stream is not None and stream.isatty()
        ]

    @property
    def is_gone(self) -> bool:
        """Whether the parent has ended, or the terminal has been closed."""
        if self._parent is not None and self._parent != os.getppid():
            return True
        # A terminal that was hung up answers no question any more, not even this one.
        return not all(map(os.isatty, self._terminals))
