"""Base class of a set's servers: a folder, a port, and a process that is started, watched and stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self

from starpost_dev.services import ports, processes
from starpost_dev.services.account import Account
from starpost_dev.services.errors import ServiceError
from starpost_dev.services.processes import StopSteps
from starpost_dev.services.watchdog import Watchdog

_POLL_SECONDS = 0.02
_PORT_ATTEMPTS = 5
_LOG_BYTES = 1 << 20


class Server(ABC):
    """Server process on a TCP port of the loopback address.

    It is a context manager: entering starts the server, leaving stops it. Once it has run, it keeps its port, so that
    clients find it again after `kill` and `start`. All methods block; under asyncio, call them by `asyncio.to_thread`.

    Args:
        folder: Folder of the server.
        account: Account that runs it.
        watchdog: Ends the server when this process is killed.
        port: Preferred port for the first start.
    """

    title: ClassVar[str]
    start_seconds: ClassVar[float] = 60.0
    stop_steps: ClassVar[StopSteps] = ((signal.SIGTERM, 5.0), (signal.SIGKILL, 2.0))

    def __init__(self, folder: Path, account: Account, watchdog: Watchdog, port: int | None = None) -> None:
        self.folder = folder
        self.host = ports.LOOPBACK
        self._account = account
        self._watchdog = watchdog
        self._preferred_port = port
        self._port: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """Port of the server; stays the same after the first start.

        Raises:
            ServiceError: The server has never been started.
        """
        if self._port is None:
            raise ServiceError(f"{self.title} has not been started: it has no port yet.")
        return self._port

    @property
    def pid(self) -> int | None:
        """Process id of the server; None if it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def is_running(self) -> bool:
        """True if the server's process runs."""
        return self.pid is not None

    @property
    def has_run(self) -> bool:
        """True if the server has started successfully once, so that its port is known."""
        return self._port is not None

    @property
    def log(self) -> Path:
        """File with the server's output."""
        return self.folder / "log"

    def start(self) -> None:
        """Start the server and wait until it answers. Does nothing if it runs.

        Raises:
            ServiceError: It cannot be prepared, ends before it answers, or its port was taken meanwhile.
        """
        if self.is_running:
            return
        self._prepare()
        self._end_leftovers()
        for attempt in range(_PORT_ATTEMPTS):
            # Another process may take the port before the server does, so a failure is tried again with another port.
            preferred = self._preferred_port if attempt == 0 else None
            port = self._port or ports.free_port(preferred)
            if self._launch(port):
                self._port = port
                return
            if self._port is not None:
                raise ServiceError(
                    f"{self.title} cannot start again: its port {self._port} is taken by another program."
                )
        raise ServiceError(f"{self.title} found no free port in {_PORT_ATTEMPTS} attempts.")

    def stop(self) -> None:
        """Stop the server cleanly, or by force if that takes too long."""
        process = self._process
        if process is None:
            return
        for number, patience in self.stop_steps:
            if process.poll() is not None:
                break
            processes.send(process.pid, number, group=number is signal.SIGKILL)
            try:
                process.wait(patience)
            except subprocess.TimeoutExpired:
                continue
        self._forget()

    def kill(self) -> None:
        """Kill the server and its children with SIGKILL, as in a crash."""
        if self._process is None:
            return
        family = processes.descendants(self._process.pid)
        processes.send(self._process.pid, signal.SIGKILL, group=True)
        # Backends that outlive their postmaster would keep the next one from starting.
        processes.end({process: [(signal.SIGKILL, 5.0)] for process in family})
        self._process.wait()
        self._forget()

    def restart(self) -> None:
        """Stop the server and start it again on the same port."""
        self.stop()
        self.start()

    @abstractmethod
    def _prepare(self) -> None:
        """Make the folder and the files that the server needs."""

    @abstractmethod
    def _command(self, port: int) -> list[str]:
        """Return the command that runs the server in the foreground."""

    @abstractmethod
    def _answers(self, port: int) -> bool:
        """Return whether the started server serves clients."""

    @abstractmethod
    def _marks(self) -> Sequence[Sequence[str]]:
        """Return arguments that only processes of this folder's server have."""

    def _environment(self) -> Mapping[str, str]:
        return os.environ

    def _working_folder(self) -> Path:
        return self.folder

    def _end_leftovers(self) -> None:
        """End processes that are left when both an earlier owner and its watchdog were killed.

        The caller must be the only owner of the folder: it holds the supervisor's lock, or has just made the folder.
        """
        targets = {
            process: self.stop_steps
            for process in processes.processes()
            if any(process.has(words) for words in self._marks())
        }
        processes.end(targets)

    def _launch(self, port: int) -> bool:
        """Run the server on a port. Return False if another program took the port first."""
        self._rotate_log()
        with self.log.open("ab") as log:
            self._account.take(self.log)
            self._process = subprocess.Popen(
                self._command(port),
                cwd=self._working_folder(),
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # In a process session of its own, so that Ctrl-C reaches only the application.
                start_new_session=True,
                umask=0o077,
                **self._account.identity(),
            )
        try:
            self._watchdog.watch(self._process.pid, self.stop_steps)
            return self._wait_until_it_answers(self._process, port)
        except BaseException:
            self.kill()
            raise

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes], port: int) -> bool:
        deadline = time.monotonic() + self.start_seconds
        while not self._answers(port):
            if process.poll() is not None:
                self._forget()
                if not ports.is_free(port):
                    return False
                raise ServiceError(f"{self.title} ended while it started: {self._last_words()}")
            if time.monotonic() > deadline:
                raise ServiceError(
                    f"{self.title} did not answer within {self.start_seconds:.0f} s: {self._last_words()}"
                )
            time.sleep(_POLL_SECONDS)
        return True

    def _forget(self) -> None:
        if self._process is not None:
            self._watchdog.forget(self._process.pid)
            self._process = None

    def _rotate_log(self) -> None:
        if self.log.exists() and self.log.stat().st_size > _LOG_BYTES:
            self.log.replace(self.log.with_name("log.1"))

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines() if self.log.exists() else []
        return f"{lines[-1].strip() if lines else 'it said nothing'} (see {self.log})"
