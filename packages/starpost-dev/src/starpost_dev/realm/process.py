"""Identity server as a child process: the development realm or the real Keycloak."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from starpost_dev.layout import REALM_FILE

_STOP_TIMEOUT = 45


class StartError(RuntimeError):
    """The server did not start.

    Attributes:
        status: its exit status; 3 means that it cannot run on this machine.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class RealmProcess:
    """Identity server in a process of its own. It can be stopped and started again at the same address.

    Args:
        state: folder in which it saves keys, users and sessions.
        realm_file: the realm to serve.
        port: 0 chooses a free one, which later starts reuse.
        environ: further variables for the realm file's placeholders.
        module: `starpost_dev.realm`, or `starpost_dev.keycloak` for the real server.
    """

    def __init__(
        self,
        state: Path,
        *,
        realm_file: Path = REALM_FILE,
        port: int = 0,
        environ: dict[str, str] | None = None,
        module: str = "starpost_dev.realm",
    ) -> None:
        self._state = state
        self._realm_file = realm_file
        self._port = port
        self._module = module
        self._environ = environ or {}
        self._process: subprocess.Popen[bytes] | None = None
        #: Base URL, known after the first start.
        self.base_url = ""

    @property
    def pid(self) -> int | None:
        """Process id; None while it does not run."""
        return self._process.pid if self._process else None

    def start(self) -> str:
        """Start the server, and return its base URL as soon as it answers.

        Raises:
            StartError: the server did not start; the message is its last output.
        """
        self._state.mkdir(parents=True, exist_ok=True, mode=0o700)
        command = [sys.executable, "-m", self._module, "--port", str(self._port)]
        # Its standard input is a pipe from us. However this process ends, the pipe closes and the server stops.
        command += ["--until-eof", "--realm-file", str(self._realm_file), "--state", str(self._state)]
        log = self._state / f"{self._module.rpartition('.')[2]}.err"
        with log.open("ab") as stderr:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=os.environ | self._environ,
            )
        if self._process.stdout is None:
            raise TypeError("the realm's standard output is not a pipe")
        line = self._process.stdout.readline()
        if not line:
            status = self._process.wait(_STOP_TIMEOUT)
            self.stop()
            raise StartError(_last_line(log), status)
        self.base_url = str(json.loads(line)["base_url"])
        self._port = int(self.base_url.rpartition(":")[2])
        return self.base_url

    def stop(self) -> None:
        """Stop the server; its state stays. Does nothing if it does not run."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process = None


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return lines[-1] if lines else "it said nothing"
