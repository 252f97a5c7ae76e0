"""Processes that are not children of this one, from `/proc` on Linux, from `ps` elsewhere."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# Signals to send, each with the seconds to wait for the end before the next.
StopSteps = Sequence[tuple[signal.Signals, float]]

_POLL = 0.02
_HAS_PROC = Path("/proc/self/stat").exists()


@dataclass(frozen=True, slots=True)
class Process:
    """Running process; a zombie is not one.

    `started` distinguishes a process from a later one with the same id.
    """

    pid: int
    parent: int
    started: str
    argv: tuple[str, ...]

    def has(self, words: Iterable[str]) -> bool:
        """Return whether each of the words is an argument of the process, or the name of its program."""
        return set(words) <= {*self.argv, *(Path(first).name for first in self.argv[:1])}


def processes() -> Iterator[Process]:
    """Yield every process of the machine that this one may see."""
    if _HAS_PROC:
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and (process := _from_proc(int(entry.name))) is not None:
                yield process
    else:
        yield from _from_ps(["-ax"])


def find(pid: int) -> Process | None:
    """Return the process with this id; None if it has ended, even as a zombie."""
    if _HAS_PROC:
        return _from_proc(pid)
    return next(_from_ps(["-p", str(pid)]), None)


def descendants(pid: int) -> list[Process]:
    """Return the children of a process, and their children."""
    everything = list(processes())
    found: list[Process] = []
    parents = {pid}
    while parents:
        children = [process for process in everything if process.parent in parents]
        found += children
        parents = {process.pid for process in children}
    return found


def end(targets: Mapping[Process, StopSteps]) -> None:
    """Stop processes at the same time, each by its own steps. Return when they have ended, or the steps have.

    The last step goes to the whole process group if the process leads one.
    """
    due = dict.fromkeys(targets, 0.0)
    step = dict.fromkeys(targets, 0)
    while due:
        now = time.monotonic()
        for process in list(due):
            if not is_running(process) or (now >= due[process] and step[process] == len(targets[process])):
                del due[process]
            elif now >= due[process]:
                number, patience = targets[process][step[process]]
                step[process] += 1
                due[process] = now + patience
                send(process.pid, number, group=step[process] == len(targets[process]))
        time.sleep(_POLL)


def is_running(process: Process) -> bool:
    """Return whether this very process still runs."""
    now = find(process.pid)
    return now is not None and now.started == process.started


def send(pid: int, number: signal.Signals, *, group: bool = False) -> None:
    """Send a signal to a process, or to its group if it leads one. A process that has ended is no error."""
    try:
        if group and os.getpgid(pid) == pid:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)
    except ProcessLookupError:
        return


def _from_proc(pid: int) -> Process | None:
    try:
        # proc_pid_stat(5): the name stands in parentheses and may contain anything, so read from the last one.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]
    except OSError:
        return None
    if fields[0] in "ZX":
        return None
    return Process(pid, int(fields[1]), fields[19], tuple(os.fsdecode(argument) for argument in arguments))


def _from_ps(selection: list[str]) -> Iterator[Process]:
    listing = subprocess.run(
        ["ps", *selection, "-o", "pid=,ppid=,stat=,lstart=,command="],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    ).stdout
    for line in listing.splitlines():
        pid, parent, state, *rest = line.split(None, 8)
        if not state.startswith("Z"):
            yield Process(int(pid), int(parent), " ".join(rest[:5]), tuple("".join(rest[5:]).split(" ")))
