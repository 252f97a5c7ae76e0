"""Checkouts made for a test: the project's scripts and its realm, with doubles for the application."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from starpost_dev.layout import REALM_FILE
from starpost_dev.services import processes

ROOT = Path.cwd()
PATIENCE = 100.0

# With the standard library alone, so that it starts at once.
APPLICATION = """
import http.server, json, os, signal, sys
from pathlib import Path
def log(event, **more):
    with Path("events").open("a") as events:
        events.write(json.dumps({"event": event, "pid": os.getpid(), **more}) + "\\n")
def stop(*_):
    log("stop")
    if "APP_IGNORES_SIGTERM" not in os.environ:
        sys.exit(int(os.environ.get("APP_STATUS", "0")))
signal.signal(signal.SIGTERM, stop)
server = http.server.HTTPServer((os.environ["HOST"], int(os.environ["PORT"])), http.server.BaseHTTPRequestHandler)
log("app", environment=dict(os.environ))
server.serve_forever()
"""

STEP = """
import json, os, sys, time
from pathlib import Path
with Path("events").open("a") as events:
    events.write(json.dumps({{"event": "{0}", "pid": os.getpid()}}) + "\\n")
time.sleep(float(os.environ.get("{0}_SECONDS".upper(), "0")))
sys.exit(int(os.environ.get("{0}_STATUS".upper(), "0")))
"""


class Checkout:
    """The folder of an application: the project's own commands and realm, doubles for what the commands run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        shutil.copy(ROOT / "Makefile", path)
        for folder in ("scripts", "docker/keycloak"):
            shutil.copytree(ROOT / folder, path / folder, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("migrate", "seed"):
            self._write(f"scripts/{name}.py", STEP.format(name))
        self._write("app/settings.py", "from starpost.settings import Settings as Settings\n")
        self._write("app/__main__.py", APPLICATION)

    @property
    def realm_file(self) -> Path:
        """Realm that the checkout's identity server serves."""
        return self.path / REALM_FILE

    @property
    def state(self) -> Path:
        """The folder of the development services."""
        return self.path / ".dev"

    @property
    def events(self) -> list[dict[str, Any]]:
        """What the doubles of the application's commands have noted."""
        file = self.path / "events"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def record(self) -> dict[str, int]:
        """The processes of the development services, as the supervisor has written them down."""
        record: dict[str, int] = json.loads((self.state / "supervisor.json").read_text())
        return record

    def processes(self) -> list[processes.Process]:
        """Every process that runs for this checkout."""
        # Servers name the folder in their arguments; everything else of ours has it as the working folder.
        return [
            process
            for process in processes.processes()
            if process.pid != os.getpid()
            and (str(self.path) in " ".join(process.argv) or _working_folder(process.pid) == self.path)
        ]

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Run a Python command in the checkout; its outputs can be read."""
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.path,
            env={**clean_environment(), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def hold(self, *services: str) -> subprocess.Popen[str]:
        """Start a process that holds the services; it says so by printing the environment as JSON."""
        code = (
            "import json, signal, sys, time; from starpost_dev.services import attach\n"
            # A run by `nohup` ignores it, and so would this process.
            "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
            f"with attach({services!r}) as services:\n"
            "    print(json.dumps(services.environment()), flush=True); time.sleep(600)"
        )
        return self.start("-c", code)

    def _write(self, name: str, text: str) -> None:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.lstrip())


@contextmanager
def new_checkout() -> Iterator[Checkout]:
    """Make a checkout that every account may enter; afterwards nothing of it may run."""
    # Not pytest's tmp_path: it is closed to other accounts, and too long for a socket.
    path = Path(tempfile.mkdtemp(prefix="starpost-co-", dir="/tmp")).resolve()
    path.chmod(0o755)
    checkout = Checkout(path)
    try:
        yield checkout
        assert wait_for(lambda: not checkout.processes()), f"left running: {checkout.processes()}"
    finally:
        for process in checkout.processes():
            processes.send(process.pid, signal.SIGKILL)
        shutil.rmtree(path)


def clean_environment() -> dict[str, str]:
    """This process's environment without the variables that the scripts look at."""
    looked_at = {
        "DB_HOST",
        "REDIS_IP",
        "REDIS_NODES",
        "KEYCLOAK_BASE_URL",
        "KEYCLOAK",
        "KEYCLOAK_HOME",
        "HOST",
        "PORT",
        "WORKERS",
        "RELOAD",
        "MAKEFLAGS",
    }
    kept = {name: value for name, value in os.environ.items() if name not in looked_at}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1"}


def finish(process: subprocess.Popen[str], number: signal.Signals | None = None) -> tuple[int, str, str]:
    """Send a signal to a process that was started with pipes, if one is given; wait; return status and outputs."""
    if number is not None:
        process.send_signal(number)
    output, errors = process.communicate(timeout=PATIENCE)
    return process.returncode, output, errors


def read_line(stream: IO[str] | None) -> str:
    """Read one line of a process's output."""
    assert stream is not None
    return stream.readline()


def wait_for(condition: Callable[[], object]) -> bool:
    """Wait until a condition holds; False when it does not come to that."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def is_running(pid: int) -> bool:
    """Whether a process of that number runs."""
    return processes.find(pid) is not None


def _working_folder(pid: int) -> Path | None:
    try:
        return Path(f"/proc/{pid}/cwd").readlink()
    except OSError:
        return None
