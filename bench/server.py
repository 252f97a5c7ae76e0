"""Server under test: its processes, port, processor time and memory."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bench.dialects import PACKETS, Dialect
from bench.peers import Peer
from bench.serve import CORES_VARIABLE
from starpost_dev.services.ports import free_port

ROOT: Final = Path(__file__).parents[1]
PATIENCE: Final = 120.0
"""Time limit, in seconds, for a start or a stop. Long, so that slow machines can be measured."""


class ServerError(Exception):
    """The server did not start; the message has its output."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Subject of a measurement: a target of the launcher and its settings, or a peer."""

    name: str
    target: str = ""
    dialect: Dialect = PACKETS
    workers: int = 1
    uses_second_door: bool = False
    """Sockets are opened at ``WS_PORT``."""
    environ: Mapping[str, str] = field(default_factory=dict, hash=False)
    peer: Peer | None = field(default=None, hash=False)
    """Server of another project; the launcher does not run it."""


class Server:
    """Context manager that runs a subject on the given cores: a peer, or a target of the launcher.

    Args:
        subject: Subject to serve.
        environ: Settings, in addition to the subject's own.
        cores: Cores of the server; ``None`` means any.
        log: File for its output.
    """

    def __init__(self, subject: Subject, environ: Mapping[str, str], cores: frozenset[int] | None, log: Path) -> None:
        self.subject = subject
        self._environ = {**os.environ, **environ, **subject.environ, "WORKERS": str(subject.workers), "PORT": "0"}
        self._environ |= {"LOG_FORMAT": "json", CORES_VARIABLE: ",".join(map(str, sorted(cores or ())))}
        if subject.uses_second_door:
            self._environ["WS_PORT"] = str(free_port())
        self._log = log
        self.port = 0

    def __enter__(self) -> Self:
        with self._log.open("wb") as output:
            command, environ = self._prepared()
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environ,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                # A Ctrl-C is the bench's: it stops its servers itself.
                start_new_session=True,
            )
        try:
            self.port = self._wait_for_port()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def socket_url(self) -> str:
        """URL of its WebSocket."""
        port = self._environ["WS_PORT"] if self.subject.uses_second_door else self.port
        return f"ws://127.0.0.1:{port}{self.subject.dialect.path}"

    def cpu_seconds(self) -> float:
        """Return the processor time that its workers have used so far; 0 where ``/proc`` is missing."""
        ticks = 0
        for pid in self._workers():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])  # utime and stime, proc(5)
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory_bytes(self) -> int:
        """Return the private memory of its workers; 0 where ``/proc`` is missing."""
        kibibytes = 0
        for pid in self._workers():
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Private_"):
                    kibibytes += int(line.split()[1])
        return kibibytes * 1024

    def _prepared(self) -> tuple[list[str], dict[str, str]]:
        """Return command and variables."""
        peer = self.subject.peer
        if peer is None:
            return [sys.executable, "-m", "bench.serve", self.subject.target], self._environ
        port = free_port()
        command = [sys.executable, "-m", "bench.foreign", str(port), str(peer.home), *peer.command(port)]
        return command, {**self._environ, **peer.environ(port, self._environ)}

    def _workers(self) -> list[int]:
        tasks = Path(f"/proc/{self._process.pid}/task")
        children = [int(pid) for task in tasks.glob("*/children") for pid in task.read_text().split()]
        return [pid for pid in children if b"resource_tracker" not in Path(f"/proc/{pid}/cmdline").read_bytes()]

    def _wait_for_port(self) -> int:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self._process.poll() is None:
            for line in self._log.read_text().splitlines():
                if '"listening"' in line:
                    port: int = json.loads(line)["port"]
                    return port
            time.sleep(0.05)
        raise ServerError(f"{self.subject.name} did not start:\n{self._log.read_text()[-4000:]}")

    def _stop(self) -> None:
        # The server stops when its standard input closes; so it does, too, when the bench is killed.
        try:
            self._process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
