"""Process of a Keycloak in development mode, with its state in a folder of its own."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import signal
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import msgspec

from starpost_dev.keycloak.distribution import KeycloakUnavailableError

# Keycloak answers after some 36 s on two idle cores.
_START_TIMEOUT = 240.0
_STOP_TIMEOUT = 20.0
_REALM_DIGEST = "realm.sha256"
_SHARED = ("lib", "conf", "providers", "themes", "version.txt")
_HEAP = "-Xms64m -Xmx640m"


class KeycloakServer:
    """Keycloak in development mode with an imported realm file.

    Its database is a file in the state folder, so that it can be stopped and started again. If the realm file has
    changed, the database is made anew from it.

    Args:
        home: the unpacked distribution, shared by all servers that run it.
        java: the `java` that runs it.
        state: the folder for its database and log.
        realm_file: the realm to import.
        host: the address to listen on.
        port: the port to listen on.
    """

    def __init__(self, home: Path, java: Path, state: Path, realm_file: Path, host: str, port: int) -> None:
        self._home = home
        self._java = java
        self._state = state
        self._realm_file = realm_file
        self._host = host
        self._port = port
        self._process: asyncio.subprocess.Process | None = None
        self.base_url = f"http://{host}:{port}"
        #: Output of Keycloak.
        self.log = state / "keycloak.log"

    async def start(self, environ: Mapping[str, str] = os.environ) -> None:
        """Start Keycloak, and return when its realm answers.

        Raises:
            KeycloakUnavailableError: it ended instead, or did not answer in time; its log says why.
        """
        realm = self._prepare()
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                str(self._state / "bin" / "kc.sh"),
                "start-dev",
                "--import-realm",
                f"--http-host={self._host}",
                f"--http-port={self._port}",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={
                    "KC_BOOTSTRAP_ADMIN_USERNAME": "admin",
                    "KC_BOOTSTRAP_ADMIN_PASSWORD": "admin",
                    "JAVA_OPTS_KC_HEAP": _HEAP,
                    **environ,
                    "JAVA": str(self._java),
                },
                # In a process session of its own: Ctrl-C must reach only our caller, which then stops all of it.
                start_new_session=True,
            )
        try:
            async with asyncio.timeout(_START_TIMEOUT):
                while not await asyncio.to_thread(self._answers, realm):
                    if self._process.returncode is not None:
                        raise KeycloakUnavailableError(f"Keycloak ended at its start; see {self.log}")
                    await asyncio.sleep(0.25)
        except TimeoutError as error:
            await self.stop()
            raise KeycloakUnavailableError(
                f"Keycloak did not answer within {_START_TIMEOUT:.0f} s; see {self.log}"
            ) from error

    async def wait(self) -> int:
        """Wait until Keycloak ends by itself, and return its exit status."""
        if self._process is None:
            raise RuntimeError("Keycloak was not started")
        return await self._process.wait()

    async def stop(self) -> None:
        """Stop Keycloak and its children. The database stays."""
        if self._process is None:
            return
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_TIMEOUT):
                await self._process.wait()
        except TimeoutError:
            self._signal(signal.SIGKILL)
            await self._process.wait()
        # kc.sh may have ended before its child.
        self._signal(signal.SIGKILL)
        self._process = None

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _prepare(self) -> str:
        """Make the state folder a Keycloak home that shares the distribution, and return the realm's name."""
        self._state.mkdir(parents=True, exist_ok=True, mode=0o700)
        content = self._realm_file.read_bytes()
        # kc.sh finds its home by its own path, so it is copied, and the rest is linked.
        shutil.copytree(
            self._home / "bin", self._state / "bin", dirs_exist_ok=True, ignore=lambda _, names: set(names) - {"kc.sh"}
        )
        for name in _SHARED:
            link = self._state / name
            link.unlink(missing_ok=True)
            link.symlink_to(self._home / name)
        data = self._state / "data"
        digest = hashlib.sha256(content).hexdigest()
        written = data / _REALM_DIGEST
        if not written.is_file() or written.read_text() != digest:
            shutil.rmtree(data, ignore_errors=True)
            (data / "import").mkdir(parents=True)
            (data / "import" / "realm.json").write_bytes(content)
            written.write_text(digest)
        realm: str = msgspec.json.decode(content)["realm"]
        return realm

    def _answers(self, realm: str) -> bool:
        try:
            with urllib.request.urlopen(f"{self.base_url}/realms/{realm}", timeout=5) as answer:  # noqa: S310 - http
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False
