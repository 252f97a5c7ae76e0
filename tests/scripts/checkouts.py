"""Checkouts made for a test: the real scripts, with doubles for the application and the realm around them."""

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

from scripts.devservices import processes

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 30.0

# Both doubles serve HTTP with the standard library alone, so that any account's Python can run them.
REALM = """
import argparse, json, http.server, signal, sys
from pathlib import Path
options = argparse.ArgumentParser()
for name in ("host", "realm-file", "state"):
    options.add_argument("--" + name)
options.add_argument("--port", type=int)
options = options.parse_args()
client = {"id": "1", "clientId": "starpost", "attributes": {}}
class Keycloak(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.answer({"access_token": "a token"})
    def do_GET(self):
        self.answer([client])
    def do_PUT(self):
        client.update(self.body())
        Path(options.state, "client.json").write_text(json.dumps(client))
        self.answer(None)
    def body(self):
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))
    def answer(self, value):
        if self.command == "POST":
            self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(value).encode())
server = http.server.HTTPServer((options.host, options.port), Keycloak)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("a line that is not the announcement")
print(json.dumps({"base_url": f"http://127.0.0.1:{options.port}"}), flush=True)
server.serve_forever()
"""

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
import json, os, sys
from pathlib import Path
with Path("events").open("a") as events:
    events.write(json.dumps({{"event": "{0}", "pid": os.getpid()}}) + "\\n")
sys.exit(int(os.environ.get("{0}_STATUS".upper(), "0")))
"""


COPIED = (
    "Makefile",
    "scripts/__init__.py",
    "scripts/serve.py",
    "scripts/get_token.py",
    "scripts/logout_address.py",
    "scripts/keycloak/__init__.py",
    "scripts/keycloak/distribution.py",
)


class Checkout:
    """A folder with the project's scripts in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        shutil.copytree(ROOT / "scripts" / "devservices", path / "scripts" / "devservices")
        shutil.copytree(ROOT / "docker" / "keycloak", path / "docker" / "keycloak")
        (path / "scripts" / "keycloak").mkdir()
        for name in COPIED:
            shutil.copy(ROOT / name, path / name)
        self._write("scripts/realm/__main__.py", REALM)
        self._write("scripts/keycloak/__main__.py", REALM)
        self._write("scripts/seed.py", STEP.format("seed"))
        self._write("app/__main__.py", APPLICATION)
        self._write("app/framework/db/migrate.py", STEP.format("migrate"))

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
            "import json, sys, time; from scripts.devservices import attach\n"
            f"with attach({services!r}) as services:\n"
            "    print(json.dumps(services.environment()), flush=True); time.sleep(60)"
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
