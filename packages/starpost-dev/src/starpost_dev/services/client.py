"""Client of the supervisor: holds the checkout's services, which start with the first holder and end with the last.

with attach() as services:
    subprocess.run(command, env={**os.environ, **services.environment()})
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from starpost.settings import SettingsError, read_variables
from starpost_dev.keycloak.distribution import UNAVAILABLE, KeycloakUnavailableError, find_java, find_keycloak
from starpost_dev.services.endpoints import Endpoints
from starpost_dev.services.errors import ServiceError
from starpost_dev.services.identity import KINDS, REAL
from starpost_dev.services.messages import READY, Reply, Request
from starpost_dev.services.services import ALL, IDENTITY, POSTGRES, VALKEY
from starpost_dev.services.state import StateFolder, checkout_state

# Variables that, set in the environment or in `.env`, name a server that is used instead of the embedded one.
_EXTERNAL = {POSTGRES: ("DB_HOST",), VALKEY: ("REDIS_IP", "REDIS_NODES"), IDENTITY: ("KEYCLOAK_BASE_URL",)}

_ATTACH_SECONDS = 60.0
# Longest time for making the first database on a slow disk.
_REPLY_SECONDS = 180.0
# The real Keycloak takes longest: 36 s on two idle cores, minutes on busy ones.
_KEYCLOAK_SECONDS = 300.0
_END_SECONDS = 30.0


class Attachment:
    """Hold on the services of a checkout; a context manager that releases them.

    Args:
        services: The names of the services to hold; may be empty.
        checkout: The root folder of the project; by default the working directory.
        identity: Required kind of identity server; None accepts the one that runs, else starts the development realm.

    Raises:
        ServiceError: A service cannot run.
    """

    def __init__(self, services: Collection[str], checkout: Path | None = None, identity: str | None = None) -> None:
        self.services = tuple(name for name in ALL if name in services)
        self.endpoints = Endpoints()
        self._checkout = checkout or Path.cwd()
        self._identity = identity
        self._state: StateFolder | None = None
        self._connection: socket.socket | None = None
        if self.services:
            self.renew()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def folder(self) -> Path | None:
        """Folder of the services' data; None if no service is held."""
        return self._state.path if self._state is not None else None

    @property
    def is_lost(self) -> bool:
        """True if the supervisor ended, and its services with it, although this process holds them."""
        if self._connection is None:
            return False
        readable, _, _ = select.select([self._connection], [], [], 0.0)
        return bool(readable)

    def environment(self) -> dict[str, str]:
        """Return the application's variables for the services that are held."""
        return self.endpoints.environment()

    def renew(self) -> None:
        """Start and hold the services again, on the same ports where they are still free.

        Raises:
            ServiceError: A service cannot run.
        """
        self.close()
        self._state = checkout_state(self._checkout)
        deadline = time.monotonic() + _ATTACH_SECONDS
        while True:
            connection = _connect(self._state, self._checkout)
            try:
                reply = self._ask(connection)
            except BaseException:
                connection.close()
                raise
            if reply is not None:
                break
            # This supervisor was already ending with its last holder; the next one waits for its end.
            connection.close()
            if time.monotonic() > deadline:
                raise ServiceError(f"The supervisor in {self._state.path} ends at once: see supervisor.log there.")
        if reply.error is not None:
            connection.close()
            raise ServiceError(reply.error)
        self.endpoints = self._only_mine(reply.endpoints)
        self._connection = connection
        if self.endpoints.identity is not None:
            # When it is started again, it must be of the same kind, since the application knows its address.
            self._identity = self.endpoints.identity.kind

    def close(self) -> None:
        """Release the services. Without another holder they end, and have ended when this returns."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        with connection:
            connection.settimeout(_END_SECONDS)
            try:
                connection.shutdown(socket.SHUT_WR)
                connection.recv(1)
            except OSError:
                # The supervisor was killed, or takes long. Its lock makes the next one wait for its end.
                return

    def _ask(self, connection: socket.socket) -> Reply | None:
        patience = _KEYCLOAK_SECONDS if IDENTITY in self.services else _REPLY_SECONDS
        connection.settimeout(patience)
        try:
            connection.sendall(Request(self.services, self._identity).encode())
            with connection.makefile("rb") as replies:
                line = replies.readline()
        except TimeoutError as error:
            raise ServiceError(f"The development services did not start within {patience:.0f} s.") from error
        except OSError:
            return None
        return Reply.decode(line) if line.endswith(b"\n") else None

    def _only_mine(self, endpoints: Endpoints) -> Endpoints:
        """Leave out the services that only other holders asked for."""
        return Endpoints(
            postgres=endpoints.postgres if POSTGRES in self.services else None,
            valkey=endpoints.valkey if VALKEY in self.services else None,
            identity=endpoints.identity if IDENTITY in self.services else None,
        )


def attach(
    services: Collection[str] = ALL, checkout: Path | None = None, environment: Mapping[str, str] | None = None
) -> Attachment:
    """Hold the services for which neither the environment nor `.env` names a server.

    Args:
        services: Names of services: `postgres`, `valkey`, `identity`.
        checkout: The root folder of the project; by default the working directory.
        environment: Variables in place of `os.environ`.

    Returns:
        A context manager. Add its `environment()` to that of the process.

    Raises:
        ServiceError: A service cannot run.
    """
    checkout = checkout or Path.cwd()
    environment = os.environ if environment is None else environment
    given = external_services(checkout, environment)
    identity = chosen_identity(checkout, environment) if IDENTITY in services else None
    if identity == REAL:
        _find_keycloak(environment)
    return Attachment([name for name in services if name not in given], checkout, identity)


def chosen_identity(checkout: Path, environment: Mapping[str, str]) -> str | None:
    """Return the kind of identity server that the variable KEYCLOAK selects; None if it is not set.

    Raises:
        ServiceError: The kind is unknown, or contradicts KEYCLOAK_BASE_URL.
    """
    settings = configured(checkout, environment)
    kind = settings.get("KEYCLOAK") or None
    if kind is None:
        return None
    if kind not in KINDS:
        raise ServiceError(f"KEYCLOAK is {' or '.join(KINDS)}, not {kind!r}.")
    if named := settings.get("KEYCLOAK_BASE_URL"):
        raise ServiceError(
            f"KEYCLOAK={kind} starts a server, and KEYCLOAK_BASE_URL={named} is one: leave one of them out."
        )
    return kind


def _find_keycloak(environment: Mapping[str, str]) -> None:
    """Fetch the real Keycloak in this process, since the supervisor would answer nobody else meanwhile."""
    try:
        find_java(environment)
        find_keycloak(environment)
    except KeycloakUnavailableError as error:
        raise ServiceError(f"{error}.", exit_status=UNAVAILABLE) from error


def external_services(checkout: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the services for which the settings name a server, with that server's name."""
    settings = configured(checkout, environment)
    named = {
        service: next((settings[variable] for variable in variables if settings.get(variable)), None)
        for service, variables in _EXTERNAL.items()
    }
    return {service: server for service, server in named.items() if server is not None}


def configured(checkout: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of the checkout's `.env`, overridden by the environment, as the application reads them.

    Raises:
        ServiceError: `.env` cannot be read.
    """
    try:
        return read_variables(environment, checkout / ".env")
    except SettingsError as error:
        raise ServiceError(str(error)) from error


def _connect(state: StateFolder, checkout: Path) -> socket.socket:
    """Connect to the supervisor, and start one if there is none."""
    # One process at a time: otherwise several would find no supervisor, and each would start one.
    with _alone_starting(state):
        connection = _try_to_connect(state)
        if connection is None:
            with _started_supervisor(checkout):
                connection = _try_to_connect(state)
    if connection is None:
        raise ServiceError(f"The supervisor in {state.path} started and ended at once: see supervisor.log there.")
    return connection


def _try_to_connect(state: StateFolder) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(5.0)
    try:
        connection.connect(str(state.socket))
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    except OSError as error:
        connection.close()
        raise ServiceError(f"The supervisor at {state.socket} cannot be reached: {error.strerror or error}.") from error
    return connection


@contextmanager
def _started_supervisor(checkout: Path) -> Iterator[None]:
    """Start a supervisor. It waits for a first holder until this context, or this process, ends."""
    lifeline, held = os.pipe()
    try:
        started = subprocess.run(
            [sys.executable, "-m", "starpost_dev.services.supervisor", str(checkout)],
            cwd=checkout,
            stdin=lifeline,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            start_new_session=True,
        )
        if READY not in started.stdout.splitlines():
            raise ServiceError(started.stdout.strip() or "The supervisor of the development services does not start.")
        yield
    finally:
        os.close(lifeline)
        os.close(held)


@contextmanager
def _alone_starting(state: StateFolder) -> Iterator[None]:
    lock = state.open_lock("start.lock")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
