"""Realm file: the part of Keycloak's realm representation that the development realm supports.

Other members are ignored, since the real server has many more. A wrong type of a supported member is an error, as for
the real server.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

# `${NAME}` and `${NAME:default}`: the real server replaces them when it imports a file at its start.
_PLACEHOLDER = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::([^}]*))?\}")


class RealmFileError(Exception):
    """The realm file is missing, is not JSON, or contradicts itself; the message names the file and the place."""


class Composites(msgspec.Struct, rename="camel", frozen=True):
    """Composites of a role."""

    realm: tuple[str, ...] = ()
    client: dict[str, tuple[str, ...]] = {}


class RoleEntry(msgspec.Struct, rename="camel", frozen=True):
    """Realm role or client role."""

    name: str
    id: str | None = None
    description: str | None = None
    composite: bool = False
    composites: Composites = Composites()


class RoleEntries(msgspec.Struct, rename="camel", frozen=True):
    """All roles: those of the realm, and those of each client by its clientId."""

    realm: tuple[RoleEntry, ...] = ()
    client: dict[str, tuple[RoleEntry, ...]] = {}


class MapperEntry(msgspec.Struct, rename="camel", frozen=True):
    """Protocol mapper of a client."""

    name: str
    protocol_mapper: str
    config: dict[str, str] = {}


class ClientEntry(msgspec.Struct, rename="camel", frozen=True):
    """Client: an application that requests tokens."""

    client_id: str
    id: str | None = None
    name: str | None = None
    enabled: bool = True
    public_client: bool = False
    bearer_only: bool = False
    secret: str | None = None
    standard_flow_enabled: bool = True
    direct_access_grants_enabled: bool = False
    service_accounts_enabled: bool = False
    redirect_uris: tuple[str, ...] = ()
    web_origins: tuple[str, ...] = ()
    attributes: dict[str, str] = {}
    protocol_mappers: tuple[MapperEntry, ...] = ()


class CredentialEntry(msgspec.Struct, rename="camel", frozen=True):
    """Credential of a user; only passwords are supported."""

    type: str
    value: str = ""
    temporary: bool = False


class UserEntry(msgspec.Struct, rename="camel", frozen=True):
    """User, or the service account of a client (``service_account_client_id``)."""

    username: str
    id: str | None = None
    enabled: bool = True
    email_verified: bool = False
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    credentials: tuple[CredentialEntry, ...] = ()
    realm_roles: tuple[str, ...] = ()
    client_roles: dict[str, tuple[str, ...]] = {}
    service_account_client_id: str | None = None
    attributes: dict[str, tuple[str, ...]] = {}


class RealmFile(msgspec.Struct, rename="camel", frozen=True):
    """Realm with its lifetimes in seconds, roles, clients and users."""

    realm: str
    enabled: bool = True
    display_name: str | None = None
    access_token_lifespan: int = 300
    access_code_lifespan: int = 60
    access_code_lifespan_login: int = 1800
    sso_session_idle_timeout: int = 1800
    sso_session_max_lifespan: int = 36000
    revoke_refresh_token: bool = False
    refresh_token_max_reuse: int = 0
    attributes: dict[str, str] = {}
    roles: RoleEntries = RoleEntries()
    clients: tuple[ClientEntry, ...] = ()
    users: tuple[UserEntry, ...] = ()


def read_realm_file(path: Path, environ: Mapping[str, str] = os.environ) -> RealmFile:
    """Read a realm file, with its ``${NAME:default}`` placeholders replaced from the environment.

    Raises:
        RealmFileError: the file cannot be read, is not JSON or has a member of a wrong type.
    """
    try:
        document = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise RealmFileError(f"{path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RealmFileError(f"{path} is not JSON: {error}") from error
    try:
        return msgspec.convert(_replace_placeholders(document, environ), RealmFile)
    except msgspec.ValidationError as error:
        raise RealmFileError(f"{path}: {error}") from error


def _replace_placeholders(value: Any, environ: Mapping[str, str]) -> Any:
    """Replace the placeholders of every string. Without value and default, a placeholder stays, as in Keycloak."""
    if isinstance(value, str):
        return _PLACEHOLDER.sub(lambda found: environ.get(found[1], found[2] or found[0]), value)
    if isinstance(value, dict):
        return {key: _replace_placeholders(item, environ) for key, item in value.items()}
    if isinstance(value, list):
        return [_replace_placeholders(item, environ) for item in value]
    return value
