"""What a worker tells the launcher: one pipe, shared by all workers, with messages too short to be torn apart."""

import os
import struct
import threading
from enum import IntEnum
from multiprocessing.connection import Connection
from typing import Final

_MESSAGE: Final = struct.Struct("!IB")
"""Process id and phase. Far below ``PIPE_BUF``: POSIX writes it in one piece, whoever else writes."""


class Phase(IntEnum):
    """How far a worker has come."""

    READY = 1
    """The application is up, and can be asked to drain."""
    DRAINED = 2
    """Its sockets are closed and its packets answered: it may be stopped."""


class Reporter:
    """The worker's end."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def __call__(self, phase: Phase) -> None:
        """Tell the launcher; silent when there is no launcher any more, as nobody waits for the answer then."""
        try:
            self._pipe.send_bytes(_MESSAGE.pack(os.getpid(), phase))
        except BrokenPipeError:
            return


class WorkerReports:
    """The launcher's end: the latest phase of every worker, by process id."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._phases: dict[int | None, Phase] = {}
        self._changed = threading.Condition()
        threading.Thread(target=self._read, name="worker-reports", daemon=True).start()

    def of(self, pid: int | None) -> Phase | None:
        """The latest phase of one worker; ``None`` before its first report."""
        return self._phases.get(pid)

    def forget(self, pid: int | None) -> None:
        """Drop what a worker reported that has ended: the system gives its process id to others."""
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
