"""Endpoints of running services, as values and as the application's environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class PostgresEndpoint:
    """Endpoint of a PostgreSQL database."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str

    def environment(self) -> dict[str, str]:
        """Return the application's `DB_*` variables."""
        return {
            "DB_HOST": self.host,
            "DB_PORT": str(self.port),
            "DB_USER": self.user,
            "DB_PASSWORD": self.password,
            "DB_NAME": self.database,
        }


@dataclass(frozen=True, slots=True)
class ValkeyEndpoint:
    """Endpoint of a server with the Redis protocol."""

    host: str
    port: int
    password: str = field(repr=False)

    def environment(self) -> dict[str, str]:
        """Return the application's `REDIS_*` variables."""
        return {"REDIS_IP": self.host, "REDIS_PORT": str(self.port), "REDIS_PASSWORD": self.password}


@dataclass(frozen=True, slots=True)
class IdentityEndpoint:
    """Endpoint of an identity server: the development realm, or the real Keycloak."""

    base_url: str
    kind: str

    def environment(self) -> dict[str, str]:
        """Return the application's `KEYCLOAK_BASE_URL`."""
        return {"KEYCLOAK_BASE_URL": self.base_url}


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Endpoints of one set; None for a service that the set does not run."""

    postgres: PostgresEndpoint | None = None
    valkey: ValkeyEndpoint | None = None
    identity: IdentityEndpoint | None = None

    def environment(self) -> dict[str, str]:
        """Return the application's variables for the services of the set."""
        variables: dict[str, str] = {}
        for endpoint in (self.postgres, self.valkey, self.identity):
            if endpoint is not None:
                variables |= endpoint.environment()
        return variables

    def to_message(self) -> dict[str, Any]:
        """Return the endpoints as plain JSON types."""
        return asdict(self)

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> Endpoints:
        """Make endpoints from the result of `to_message`."""
        return cls(
            postgres=PostgresEndpoint(**message["postgres"]) if message["postgres"] else None,
            valkey=ValkeyEndpoint(**message["valkey"]) if message["valkey"] else None,
            identity=IdentityEndpoint(**message["identity"]) if message["identity"] else None,
        )
