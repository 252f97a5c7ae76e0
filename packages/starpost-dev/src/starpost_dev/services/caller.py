"""Caller of a command: notices when the parent process or the terminal has gone."""

from __future__ import annotations

import os
import sys


class Caller:
    """Parent and terminal of this process, recorded at its start and checked on demand.

    Killing a parent does not end its children. When a terminal closes, only the leader of the process session gets a
    signal: if that is `make` itself, as under `ssh -t host make serve`, it goes on waiting for its child.

    Args:
        with_parent: Check the parent too; a command in the background of a shell may outlive it.
    """

    def __init__(self, *, with_parent: bool) -> None:
        self._parent = os.getppid() if with_parent else None
        self._terminals = [
            stream.fileno() for stream in (sys.stdin, sys.stdout) if stream is not None and stream.isatty()
        ]

    @property
    def is_gone(self) -> bool:
        """True if the parent has ended, or the terminal has closed."""
        if self._parent is not None and self._parent != os.getppid():
            return True
        # After a hang-up, `isatty` fails too.
        return not all(map(os.isatty, self._terminals))
