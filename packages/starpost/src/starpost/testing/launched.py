"""Launcher in a process of its own, for tests over real sockets."""

import copy
import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from starpost.testing import plain_http

PATIENCE = 100.0
"""Seconds after which something hangs. On a machine that does much else, a worker may take ten to start."""


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait until the condition returns a true value, ``PATIENCE`` seconds at most, and return it."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {PATIENCE} s: {what}")


def is_running(pid: int) -> bool:
    """Return whether the process lives; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def application() -> str:
    """Return the package of the project's application, as its ``pyproject.toml`` names it for all its tools."""
    tool = tomllib.loads(Path("pyproject.toml").read_text()).get("tool", {})
    return str(tool.get("starpost", {}).get("module", "app"))


class Launched:
    """Context manager that runs a launcher, and kills it with its workers at the end if it still runs.

    Args:
        log_dir: Folder for its output.
        target: Module to run, as in ``python -m app``, or a factory for the launcher, ``module:function``; the
            project's application, if none is given.
        cwd: Working directory.
        environ: Settings, in addition to LOG_FORMAT=json and PORT=0.
    """

    def __init__(
        self,
        log_dir: Path,
        target: str = "",
        *,
        cwd: Path | str = ".",
        **environ: str,
    ) -> None:
        self.cwd = cwd
        self.output = log_dir / "launcher.log"
        target = target or application()
        self.command = [sys.executable, "-m"]
        self.command += ["starpost.testing.start", target] if ":" in target else [target]
        self.environ = {**os.environ, "LOG_FORMAT": "json", "PORT": "0", "WS_MAX_CONNECTIONS": "100"}
        self.environ |= {"PYTHONPATH": os.pathsep.join(sys.path), **environ}
        self.port = 0
        """Port of its sockets: ``PORT``, or ``WS_PORT`` for ``at_second_door``."""
        self.http_port = 0

    def __enter__(self) -> Self:
        with self.output.open("wb") as output:
            # In a process session of its own, as on a terminal: a signal to the group reaches the workers too.
            self.process = subprocess.Popen(
                self.command,
                cwd=self.cwd,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        workers = self.workers()
        self.process.kill()
        self.process.wait()
        for pid in workers:
            if is_running(pid):
                os.kill(pid, signal.SIGKILL)
        if error is not None:
            sys.stderr.write(self.output.read_text())

    def lines(self, event: str | None = None) -> list[dict[str, Any]]:
        """Return the JSON lines of the log, or only those of one event."""
        # Without what follows the last line break: a line that is being written.
        whole = self.output.read_text().rpartition("\n")[0]
        found = [json.loads(line) for line in whole.splitlines() if line.startswith("{")]
        return [line for line in found if event is None or line["event"] == event]

    def started(self) -> Self:
        """Wait until it listens."""

        def look() -> bool:
            assert self.process.poll() is None, self.output.read_text()
            return bool(self.lines("listening"))

        until(look, "listening")
        self.port = self.http_port = self.lines("listening")[0]["port"]
        return self

    def at_second_door(self) -> Self:
        """The same server, whose sockets are opened at ``WS_PORT``."""
        door = copy.copy(self)
        door.port = int(self.environ["WS_PORT"])
        return door

    def workers(self) -> list[int]:
        """Return the process ids of the workers."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                if int(stat.read_text().rpartition(")")[2].split()[1]) == self.process.pid:
                    command = stat.with_name("cmdline").read_bytes()
                    if b"resource_tracker" not in command and is_running(int(stat.parent.name)):
                        found.append(int(stat.parent.name))
            except (FileNotFoundError, ProcessLookupError):
                continue
        return found

    def ended(self) -> int:
        """Wait for the end of the launcher, and return its exit status."""
        return self.process.wait(PATIENCE)

    def get(self, path: str, **options: Any) -> httpx.Response:
        """Send a ``GET``, on a connection of its own."""
        return plain_http.get(f"http://127.0.0.1:{self.http_port}{path}", timeout=PATIENCE, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        """Send a ``POST``, on a connection of its own."""
        return plain_http.post(f"http://127.0.0.1:{self.http_port}{path}", timeout=PATIENCE, **options)
