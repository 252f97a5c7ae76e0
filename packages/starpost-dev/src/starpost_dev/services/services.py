"""Set of services of one state folder: started by name, stopped in reverse."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from starpost_dev.services.binaries import postgres_programs, valkey_program
from starpost_dev.services.endpoints import Endpoints
from starpost_dev.services.errors import ServiceError
from starpost_dev.services.identity import DEVELOPMENT, REAL, IdentityServer, identity_server
from starpost_dev.services.ports import PortMemory
from starpost_dev.services.postgres import Postgres
from starpost_dev.services.server import Server
from starpost_dev.services.state import StateFolder
from starpost_dev.services.valkey import Valkey
from starpost_dev.services.watchdog import Watchdog

POSTGRES = "postgres"
VALKEY = "valkey"
IDENTITY = "identity"
ALL = (POSTGRES, VALKEY, IDENTITY)

_ServerT = TypeVar("_ServerT", bound=Server)


class Services:
    """PostgreSQL, Valkey and the identity server of one state folder.

    A throw-away set takes its servers from here too, to stop, kill and start them again: `services.postgres`,
    `services.valkey`, `services.identity`.

    Args:
        state: The folder, held by this process alone.
        watchdog: Ends the servers when this process is killed.
        checkout: The root folder of the project.
        postgres_settings: PostgreSQL settings beyond the usual ones.
        valkey_settings: Directives of `valkey.conf` beyond the usual ones.
    """

    def __init__(
        self,
        state: StateFolder,
        watchdog: Watchdog,
        checkout: Path,
        postgres_settings: Mapping[str, str] | None = None,
        valkey_settings: Mapping[str, str] | None = None,
    ) -> None:
        self.state = state
        self._watchdog = watchdog
        self._checkout = checkout
        self._postgres_settings = postgres_settings
        self._valkey_settings = valkey_settings
        self._ports = PortMemory(state.path / "ports.json")
        self._servers: dict[str, Server] = {}
        self._identity = DEVELOPMENT

    @property
    def postgres(self) -> Postgres:
        """PostgreSQL server; raises ServiceError if the set has none."""
        return self._server(POSTGRES, Postgres)

    @property
    def valkey(self) -> Valkey:
        """Valkey server; raises ServiceError if the set has none."""
        return self._server(VALKEY, Valkey)

    @property
    def identity(self) -> IdentityServer:
        """Identity server; raises ServiceError if the set has none."""
        return self._server(IDENTITY, IdentityServer)

    @property
    def endpoints(self) -> Endpoints:
        """Endpoints of the set."""
        return Endpoints(
            postgres=self.postgres.endpoint if POSTGRES in self._servers else None,
            valkey=self.valkey.endpoint if VALKEY in self._servers else None,
            identity=self.identity.endpoint if IDENTITY in self._servers else None,
        )

    @property
    def processes(self) -> dict[str, int | None]:
        """Process id of each server; None for one that has ended."""
        return {name: server.pid for name, server in self._servers.items()}

    def environment(self) -> dict[str, str]:
        """Return the application's variables for the services of the set."""
        return self.endpoints.environment()

    def start(self, names: Collection[str], identity: str | None = None) -> None:
        """Start the services that do not run yet, all at the same time.

        Args:
            names: The services.
            identity: Required kind of identity server, `development` or `real`; None accepts the one that runs, else
                starts the development realm.

        Raises:
            ServiceError: A name is unknown, the other identity server runs, or a server does not start; the others go
                on running.
        """
        if unknown := set(names) - set(ALL):
            raise ServiceError(f"There is no service called {', '.join(sorted(unknown))}: only {', '.join(ALL)}.")
        if IDENTITY in names:
            self._choose_identity(identity)
        for name in ALL:
            if name in names and name not in self._servers:
                self._servers[name] = self._make(name)
        # All are recorded before the first starts, so that `stop` misses none after an interrupt.
        with ThreadPoolExecutor(len(ALL)) as pool:
            starts = {name: pool.submit(self._servers[name].start) for name in ALL if name in names}
        for name in starts:
            if self._servers[name].has_run:
                self._ports[self._port_key(name)] = self._servers[name].port
            else:
                # No holder knows of it, so it must not be revived.
                del self._servers[name]
        for start in starts.values():
            start.result()

    def revive(self) -> list[str]:
        """Restart servers that have ended by themselves, on their ports, and return their names.

        Raises:
            ServiceError: A server does not start.
        """
        ended = [name for name, server in self._servers.items() if not server.is_running]
        self.start(ended)
        return ended

    def stop(self) -> None:
        """Stop all servers, dependent ones first."""
        for server in reversed(self._servers.values()):
            server.stop()
        self._servers.clear()

    def _make(self, name: str) -> Server:
        state = self.state
        port = self._ports[self._port_key(name)]
        match name:
            case "postgres":
                programs = postgres_programs(state.account, state.copies)
                folder = state.path / "postgres"
                return Postgres(folder, state.account, self._watchdog, programs, port, self._postgres_settings)
            case "valkey":
                program = valkey_program(state.account, state.copies)
                folder = state.path / "valkey"
                return Valkey(folder, state.account, self._watchdog, program, port, self._valkey_settings)
            case _:
                return identity_server(self._identity, state, self._watchdog, self._checkout, port)

    def _choose_identity(self, kind: str | None) -> None:
        """Choose the identity server once: all nodes of an application must accept the same tokens."""
        if IDENTITY not in self._servers:
            self._identity = kind or DEVELOPMENT
        elif kind not in (None, self._identity):
            raise ServiceError(
                f"The services of this checkout run with KEYCLOAK={self._identity} already, and their nodes would "
                f"refuse the tokens of KEYCLOAK={kind}: end the commands that use them first, or leave KEYCLOAK out."
            )

    def _port_key(self, name: str) -> str:
        """Return the key of the port. The two identity servers have different ports, so that their issuers differ."""
        return "keycloak" if name == IDENTITY and self._identity == REAL else name

    def _server(self, name: str, kind: type[_ServerT]) -> _ServerT:
        server = self._servers.get(name)
        if not isinstance(server, kind):
            raise ServiceError(f"This set runs no {name} service.")
        return server
