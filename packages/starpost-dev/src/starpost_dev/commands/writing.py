"""Writing what was planned, so that all of it stands and the application starts, or nothing is changed."""

import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

from starpost_dev.scaffold import Changes, Plan, ScaffoldError

INTERRUPTED = 130
"""Exit status after a signal."""


def application_starts() -> str:
    """Make the application in a new process, which reads the current files, and return the faults, if any."""
    done = subprocess.run(
        [sys.executable, "-m", "scripts.ws_handlers", "--json"], capture_output=True, text=True, check=False
    )
    return done.stderr.strip() if done.returncode else ""


def refuse_unless_it_starts() -> None:
    """Make sure that a fault that is found later is one of what was written.

    Raises:
        ScaffoldError: The application does not start.
    """
    if faults := application_starts():
        raise ScaffoldError(f"the application does not start as it is; fix that first:\n{faults}")


def write(made: Plan) -> list[Path]:
    """Write what was planned, and undo the changes unless the application starts with it.

    Returns:
        The new and the changed files.

    Raises:
        ScaffoldError: It cannot be written; the checkout is as it was.
    """
    with Changes(made.contents, made.originals) as changes:
        if faults := application_starts():
            raise ScaffoldError(f"the application does not start with what was written:\n{faults}")
        changes.keep()
    return [path.relative_to(made.root) for path in made.contents if made.contents[path] != made.originals[path]]


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def listen() -> None:
    """Raise ``KeyboardInterrupt`` on every signal that asks to stop.

    A closed terminal and `kill` undo the changes as Ctrl-C does, also in a background job, where the shell has SIGINT
    ignored.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
