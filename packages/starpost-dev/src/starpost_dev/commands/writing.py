"""Writing what was planned, so that all of it stands and the application starts, or nothing is changed."""

import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn, TypeVar

from starpost.rbac import ActionsError, ActionTable
from starpost.settings import SettingsError
from starpost_dev.project import Project
from starpost_dev.scaffold import Changes, Plan, ScaffoldError

T = TypeVar("T")

INTERRUPTED = 130
"""Exit status after a signal."""


def run(
    command: str,
    project: Project,
    ask: Callable[[Sequence[str]], T],
    plan: Callable[[T, Path, Path, str], Plan],
    ready: Callable[[T], str],
) -> int:
    """Ask, plan and write, and print the files that were written; the exit status.

    Args:
        command: Its name, for messages.
        project: Whose working directory is written to.
        ask: Returns what to write, given the roles of the permission table.
        plan: Plans it, for a root, a permission table and the application's package.
        ready: Says what comes next.
    """
    listen()
    try:
        actions = Path(project.settings.load().actions_file_path)
        wanted = ask(sorted(ActionTable.load(actions).roles))
        refuse_unless_it_starts()
        written = write(plan(wanted, Path.cwd(), actions, project.module))
    except (ScaffoldError, ActionsError, SettingsError, OSError) as error:
        print(f"{command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\n{command}: interrupted; nothing was written", file=sys.stderr)
        return INTERRUPTED
    for path in written:
        print(path)
    print(ready(wanted), file=sys.stderr)
    return 0


def faults_of_start(folder: Path | None = None) -> str:
    """Make the application in a new process, which reads the files as they are, and return the faults, if any.

    Args:
        folder: Where the application is; the working directory if it is not given.
    """
    done = subprocess.run(
        [sys.executable, "-m", "scripts.ws_handlers", "--json"], cwd=folder, capture_output=True, text=True, check=False
    )
    # One that is killed says nothing.
    return (done.stderr.strip() or f"exit status {done.returncode}") if done.returncode else ""


def refuse_unless_it_starts() -> None:
    """Make sure that a fault that is found later is one of what was written.

    Raises:
        ScaffoldError: The application does not start.
    """
    if faults := faults_of_start():
        raise ScaffoldError(f"the application does not start as it is; fix that first:\n{faults}")


def write(made: Plan) -> list[Path]:
    """Write what was planned, and undo the changes unless the application starts with it.

    Returns:
        The new and the changed files.

    Raises:
        ScaffoldError: It cannot be written; the checkout is as it was.
    """
    with Changes(made.contents, made.originals) as changes:
        if faults := faults_of_start():
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
