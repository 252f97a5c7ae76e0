"""`make check-realm`: the faults of a realm for this application, and how to fix them.

The command checks the server of `--base-url`, else of `KEYCLOAK_BASE_URL`, through its administration API, or a realm
file with `--file`. Settings for development count as faults if the server is not on this machine, or with
`--production`. Recommendations do not count. Exit status: 0 without faults, 1 with faults, 2 if the realm cannot be
read.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
from keycloak import KeycloakAdmin, KeycloakError, KeycloakOpenIDConnection

from starpost_dev.keycloak.rules import Finding, RealmView, inspect
from starpost_dev.layout import ACTIONS_FILE, REALM_FILE
from starpost_dev.project import Project
from starpost_dev.services.client import configured
from starpost_dev.services.errors import ServiceError

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_TIMEOUT = 30


class UnreadableRealmError(Exception):
    """The realm cannot be checked; the message is one sentence that says why."""


def main(project: Project) -> int:
    """Print the findings, and return the exit status."""
    try:
        variables = {**project.sign_in_defaults, **configured(Path.cwd(), os.environ)}
        options = _read_options(variables)
        roles = read_wanted_roles(Path(variables.get("ACTIONS_FILE_PATH") or ACTIONS_FILE))
        if options.file is None and options.base_url:
            subject = options.base_url
            password = variables.get("KEYCLOAK_ADMIN_PASSWORD", "")
            view = view_server(options.base_url, options.realm, options.client, options.username, password, roles)
            is_production = options.production or urlsplit(options.base_url).hostname not in _LOOPBACK
        else:
            subject = str(options.file or REALM_FILE)
            view = view_file(Path(subject), options.client, roles)
            is_production = options.production
    except (UnreadableRealmError, ServiceError) as error:
        print(f"check-realm: {error}", file=sys.stderr)
        return 2
    view = msgspec.structs.replace(view, is_aud_required=_is_on(variables.get("TOKEN_REQUIRE_AUD", "")))
    findings = inspect(view)
    faults = [finding for finding in findings if not finding.is_advice]
    wrong = [finding for finding in faults if is_production or not finding.only_in_production]
    print(f"Realm {view.realm['realm']} of {subject}:")
    _print(wrong, "wrong")
    _print([finding for finding in faults if finding not in wrong], "right for development alone")
    _print([finding for finding in findings if finding.is_advice], "recommended")
    if not wrong:
        print("nothing is wrong")
    return 1 if wrong else 0


def _read_options(variables: Mapping[str, str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="check_realm", description=__doc__)
    parser.add_argument("--file", type=Path, help="a realm file; the project's own when no server is named")
    parser.add_argument("--base-url", default=variables.get("KEYCLOAK_BASE_URL", "").rstrip("/"))
    parser.add_argument("--realm", default=variables.get("KEYCLOAK_REALM") or "starpost")
    parser.add_argument("--client", default=variables.get("KEYCLOAK_CLIENT_ID") or "starpost")
    parser.add_argument(
        "--username",
        default=variables.get("KEYCLOAK_ADMIN_USERNAME") or "realm-admin",
        help="an account of the realm with the roles view-realm and view-clients; KEYCLOAK_ADMIN_PASSWORD is its own",
    )
    parser.add_argument("--production", action="store_true", help="refuse settings for development, too")
    return parser.parse_args()


def read_wanted_roles(actions: Path) -> list[str]:
    """Return the roles that the permission table declares.

    Raises:
        UnreadableRealmError: the table cannot be read.
    """
    try:
        roles: list[str] = msgspec.json.decode(actions.read_bytes(), type=dict[str, Any])["roles"]
    except (OSError, msgspec.DecodeError, KeyError) as error:
        raise UnreadableRealmError(f"the permission table {actions} cannot be read: {error}") from error
    return roles


def view_file(file: Path, client_id: str, wanted_roles: Sequence[str]) -> RealmView:
    """Read a realm from its file.

    Raises:
        UnreadableRealmError: the file cannot be read, or holds no realm.
    """
    try:
        realm = msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError) as error:
        raise UnreadableRealmError(f"{file} cannot be read: {error}") from error
    if "realm" not in realm:
        raise UnreadableRealmError(f"{file} holds no realm")
    roles = realm.get("roles", {})
    named = [*roles.get("realm", ()), *roles.get("client", {}).get(client_id, ())]
    return RealmView(
        realm=realm,
        client=next((found for found in realm.get("clients", ()) if found["clientId"] == client_id), None),
        client_id=client_id,
        roles=frozenset(role["name"] for role in named),
        wanted_roles=wanted_roles,
        users=realm.get("users", ()),
    )


def view_server(
    base_url: str, realm: str, client_id: str, username: str, password: str, wanted_roles: Sequence[str]
) -> RealmView:
    """Read a realm from its server, with an account that has the roles `view-realm` and `view-clients`.

    Raises:
        UnreadableRealmError: the server does not answer, or the account may not read the realm.
    """
    try:
        discovery = httpx.get(f"{base_url}/realms/{realm}/.well-known/openid-configuration", timeout=_TIMEOUT)
        discovery.raise_for_status()
        admin = KeycloakAdmin(
            connection=KeycloakOpenIDConnection(
                server_url=base_url,
                username=username,
                password=password,
                realm_name=realm,
                user_realm_name=realm,
                timeout=_TIMEOUT,
            )
        )
        client = next(iter(_clients(admin, client_id)), None)
        roles = admin.get_realm_roles()
        if client is not None:
            roles = [*roles, *admin.get_client_roles(client["id"])]
        representation = admin.get_realm(realm)
    except httpx.HTTPError as error:
        raise UnreadableRealmError(f"the realm {realm} of {base_url} does not answer: {error}") from error
    except KeycloakError as error:
        raise UnreadableRealmError(
            f"{username} may not read the realm {realm} of {base_url} (HTTP {error.response_code}): it needs the roles "
            "view-realm and view-clients of the client realm-management, and its password in KEYCLOAK_ADMIN_PASSWORD"
        ) from error
    return RealmView(
        realm=representation,
        client=client,
        client_id=client_id,
        roles=frozenset(role["name"] for role in roles),
        wanted_roles=wanted_roles,
        discovery=discovery.json(),
        base_url=base_url,
    )


def _is_on(text: str) -> bool:
    """Return whether the text turns a switch on, as the application reads it."""
    return text.strip().lower() in ("1", "true", "yes", "on")


def _clients(admin: KeycloakAdmin, client_id: str) -> list[dict[str, Any]]:
    return [client for client in admin.get_clients() if client["clientId"] == client_id]


def _print(findings: Sequence[Finding], title: str) -> None:
    if not findings:
        return
    print(f"\n{title}:")
    for finding in findings:
        print(f"  {finding.setting}\n    {finding.problem}\n    -> {finding.remedy}")
