"""Peers: servers of other projects, built from pinned sources into the user's cache on first use.

What is built from is a folder of ``bench/yardsticks`` with the versions and hashes of everything. A changed folder is
built anew. Where a program is missing, or a build fails, the peer is left out, and the report says why.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

from bench.dialects import CENTRIFUGO_KEY

SOURCES: Final = Path(__file__).parent / "yardsticks"
BUILD_SECONDS: Final = 900
"""Time limit of one command of a build."""

Environ = Callable[[int, Mapping[str, str]], dict[str, str]]
"""Makes a peer's variables from its port and the application's variables."""


class LeftOutError(Exception):
    """The peer cannot run here; the message says why."""


def _nothing(_port: int, _environ: Mapping[str, str]) -> dict[str, str]:
    return {}


@dataclass(frozen=True)
class Peer:
    """Server of another project.

    Args:
        name: Its name in the report.
        folder: Folder of ``bench/yardsticks`` with its sources.
        program: Program that must be on the PATH.
        build: Commands, run in a copy of the folder.
        start: Command that serves, run there too; ``{port}`` stands for the port.
        environ: Variables of that command.
    """

    name: str
    folder: str
    program: str
    build: Sequence[Sequence[str]]
    start: Sequence[str]
    environ: Environ = field(default=_nothing)

    @cached_property
    def home(self) -> Path:
        """Folder in the cache for this version of the sources; it exists when it is complete."""
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return Path(base, "starpost", "bench", f"{self.folder}-{self._digest()}")

    def prepare(self) -> None:
        """Build it, unless that is done.

        Raises:
            LeftOutError: A program is missing, or the build fails: its packages cannot be fetched, for example.
        """
        if shutil.which(self.program) is None:
            raise LeftOutError(f"left out: there is no `{self.program}`")
        self.home.parent.mkdir(parents=True, exist_ok=True)
        with (self.home.parent / "build.lock").open("w") as lock:
            # Another checkout may build the same.
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self.home.is_dir():
                self._build()

    def command(self, port: int) -> list[str]:
        """Return the command that serves at this port of 127.0.0.1."""
        return [word.format(port=port) for word in self.start]

    def _build(self) -> None:
        with tempfile.TemporaryDirectory(prefix=f"{self.folder}-", dir=self.home.parent) as made:
            copy = Path(made, "copy")
            shutil.copytree(SOURCES / self.folder, copy, ignore=shutil.ignore_patterns("__pycache__"))
            for command in self.build:
                self._run(command, copy)
            copy.rename(self.home)

    def _run(self, command: Sequence[str], folder: Path) -> None:
        words = " ".join((Path(command[0]).name, *command[1:]))
        print(f"{self.name}: {words}", file=sys.stderr, flush=True)
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise LeftOutError(f"left out: {words}: {error}") from error
        if done.returncode:
            print(done.stdout, done.stderr, file=sys.stderr, flush=True)
            raise LeftOutError(f"left out: `{words}` failed")

    def _digest(self) -> str:
        found = hashlib.sha256(repr(sys.version_info[:2]).encode())
        for file in sorted((SOURCES / self.folder).iterdir()):
            if file.is_file():
                found.update(file.name.encode() + b"\0" + file.read_bytes())
        return found.hexdigest()[:12]


_PYTHON: Final = "venv/bin/python"

FASTAPI: Final = Peer(
    name="FastAPI, uvicorn",
    folder="fastapi",
    program=sys.executable,
    build=(
        (sys.executable, "-m", "venv", "venv"),
        (
            *(_PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--require-hashes", "--only-binary", ":all:", "--requirement", "requirements.txt"),
        ),
    ),
    start=(_PYTHON, "-m", "uvicorn", "main:app", "--host", "127.0.0.1", "--port", "{port}", "--log-level", "warning"),
)
SOCKET_IO: Final = Peer(
    name="Socket.IO, Node",
    folder="socketio",
    program="npm",
    build=(("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"),),
    start=("node", "server.js", "{port}"),
    environ=lambda _port, _environ: {"NODE_ENV": "production"},
)


def _centrifugo(port: int, environ: Mapping[str, str]) -> dict[str, str]:
    """Return what the configuration file cannot know. Its tokens are ours: RS256, of the same realm."""
    return {
        "CENTRIFUGO_HTTP_SERVER_PORT": str(port),
        "CENTRIFUGO_HTTP_API_KEY": CENTRIFUGO_KEY,
        # The loads see a ping only where it comes alone, and a client that does not answer in time is sent away.
        "CENTRIFUGO_CLIENT_PING_INTERVAL": "300s",
        "CENTRIFUGO_CLIENT_PONG_TIMEOUT": "200s",
        "CENTRIFUGO_ENGINE_REDIS_ADDRESS": f"redis://{environ['REDIS_IP']}:{environ['REDIS_PORT']}",
        "CENTRIFUGO_ENGINE_REDIS_PASSWORD": environ["REDIS_PASSWORD"],
        "CENTRIFUGO_CLIENT_TOKEN_JWKS_PUBLIC_ENDPOINT": (
            f"{environ['KEYCLOAK_BASE_URL']}/realms/starpost/protocol/openid-connect/certs"
        ),
    }


CENTRIFUGO: Final = Peer(
    name="Centrifugo, Redis",
    folder="centrifugo",
    program="go",
    build=(("go", "build", "-mod=readonly", "-o", "centrifugo", "github.com/centrifugal/centrifugo/v6"),),
    start=("./centrifugo", "--config", "config.yaml"),
    environ=_centrifugo,
)
