"""Reports of the workers to the launcher, over one pipe that all workers share."""

import os
import struct
import threading
from enum import IntEnum
from multiprocessing.connection import Connection
from typing import Final

_MESSAGE: Final = struct.Struct("!IB")
"""Process id and phase. Shorter than ``PIPE_BUF``, so POSIX writes it in one piece although others write too."""


class Phase(IntEnum):
    """Phase of a worker's life."""

    READY = 1
    """Application is up, and can be asked to drain."""
    DRAINED = 2
    """Sockets are closed and packets answered: the launcher may stop the worker."""


class Reporter:
    """Worker's end of the pipe."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def __call__(self, phase: Phase) -> None:
        """Report a phase. Does nothing when the launcher has ended."""
        try:
            self._pipe.send_bytes(_MESSAGE.pack(os.getpid(), phase))
        except BrokenPipeError:
            return


class WorkerReports:
    """Launcher's end of the pipe: the latest phase of every worker, by process id."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._phases: dict[int | None, Phase] = {}
        self._changed = threading.Condition()
        threading.Thread(target=self._read, name="worker-reports", daemon=True).start()

    def of(self, pid: int | None) -> Phase | None:
        """Return the latest phase of a worker; ``None`` before its first report."""
        return self._phases.get(pid)

    def forget(self, pid: int | None) -> None:
        """Drop the phase of a worker that has ended: the system reuses process ids."""
        with self._changed:
            self._phases.pop(pid, None)

    def wait(self, timeout: float) -> None:
        """Return after the next report, or after ``timeout`` seconds."""
        with self._changed:
            self._changed.wait(timeout)

    def _read(self) -> None:
        while True:
            try:
                pid, phase = _MESSAGE.unpack(self._pipe.recv_bytes())
            except (EOFError, OSError):
                return
            with self._changed:
                self._phases[pid] = Phase(phase)
                self._changed.notify_all()
