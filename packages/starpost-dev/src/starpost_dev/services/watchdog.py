"""Watchdog: the owner's side of a process that ends servers whose owner was killed.

The reaper holds one end of a pipe. The kernel closes the other when the owner ends, however that happens. Unlike
`PR_SET_PDEATHSIG`, this survives a change of the user and exists on every Unix.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Self

from starpost_dev.services import processes
from starpost_dev.services.errors import ServiceError
from starpost_dev.services.processes import StopSteps


class Watchdog:
    """Watchdog of the processes and folders that must not outlive this process.

    A context manager: leaving it ends the reaper, and the remaining processes and folders.
    """

    def __init__(self) -> None:
        self._orders: dict[str, dict[str, Any]] = {}
        # Several threads start servers.
        self._lock = threading.RLock()
        self._process = self._spawn()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Process id of the reaper."""
        return self._process.pid

    def watch(self, pid: int, steps: StopSteps) -> None:
        """End a process by these steps when the owner has gone."""
        process = processes.find(pid)
        if process is not None:
            order = {"pid": pid, "started": process.started, "steps": [[int(number), wait] for number, wait in steps]}
            self._order(f"process {pid}", order)

    def forget(self, pid: int) -> None:
        """Forget a process that has ended, since the system reuses its id."""
        self._order(f"process {pid}", {})

    def remove(self, folder: Path) -> None:
        """Remove a folder when the owner has gone, after the processes."""
        self._order(f"folder {folder}", {"folder": str(folder)})

    def revive(self) -> bool:
        """Start the reaper again if it was killed, and return whether it was."""
        with self._lock:
            if self._process.poll() is None:
                return False
            self._release()
            self._process = self._spawn()
            for key, order in self._orders.items():
                self._send(key, order)
            return True

    def close(self) -> None:
        """End the reaper, and with it the remaining processes and folders."""
        self._release()
        self._process.wait()

    def _order(self, key: str, order: dict[str, Any]) -> None:
        with self._lock:
            if order:
                self._orders[key] = order
            else:
                self._orders.pop(key, None)
            try:
                self._send(key, order)
            except BrokenPipeError:
                self._process.wait()
                self.revive()

    def _send(self, key: str, order: dict[str, Any]) -> None:
        if self._process.stdin is None:  # pragma: no cover - a pipe was asked for
            raise ServiceError("The watchdog has no pipe.")
        self._process.stdin.write(json.dumps([key, order]) + "\n")
        self._process.stdin.flush()

    def _release(self) -> None:
        if self._process.stdin is not None:
            try:
                self._process.stdin.close()
            except BrokenPipeError:
                return

    @staticmethod
    def _spawn() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "starpost_dev.services.reaper"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            # In a process session of its own: neither Ctrl-C nor the end of the process group must reach it.
            start_new_session=True,
        )
