"""`make -s token USER=alice`: print one access token and nothing else.

The password is PASSWORD, else the name. The token comes from the server of `KEYCLOAK_BASE_URL`, set in the environment
or in `.env`, else from the checkout's own identity server, whichever runs. If none runs, the command starts the
development realm (`KEYCLOAK=real`: the real Keycloak).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx

from starpost_dev.project import Project
from starpost_dev.services.client import attach, configured
from starpost_dev.services.errors import ServiceError
from starpost_dev.services.services import IDENTITY

_TIMEOUT = 30.0


class NoTokenError(Exception):
    """There is no token for this user; the message is one sentence that says why."""


def main(project: Project) -> int:
    """Print the token and return 0, or write one sentence to the standard error and return 1 or 3."""
    parser = argparse.ArgumentParser(prog="get_token", description=__doc__)
    parser.add_argument("user", help="alice, carol, bob or mallory in the development realm")
    user: str = parser.parse_args().user
    try:
        with attach([IDENTITY]) as services:
            variables = {**project.sign_in_defaults, **configured(Path.cwd(), os.environ), **services.environment()}
            print(get_token(variables, user, os.environ.get("PASSWORD") or user))
    except NoTokenError as error:
        print(f"token: {error}", file=sys.stderr)
        return 1
    except ServiceError as error:
        print(f"token: {error}", file=sys.stderr)
        return error.exit_status
    return 0


def get_token(variables: Mapping[str, str], user: str, password: str) -> str:
    """Ask for an access token by the password grant.

    Args:
        variables: The application's: `KEYCLOAK_BASE_URL`, `KEYCLOAK_REALM`, `KEYCLOAK_CLIENT_ID`,
            `KEYCLOAK_CLIENT_SECRET`.
        user: The name of the user.
        password: The user's password.

    Raises:
        NoTokenError: The server does not answer, or refuses.
    """
    base_url = variables["KEYCLOAK_BASE_URL"].rstrip("/")
    realm = variables.get("KEYCLOAK_REALM") or "starpost"
    form = {
        "grant_type": "password",
        "client_id": variables.get("KEYCLOAK_CLIENT_ID") or "starpost",
        "username": user,
        "password": password,
        "scope": "openid",
    }
    if secret := variables.get("KEYCLOAK_CLIENT_SECRET"):
        form["client_secret"] = secret
    try:
        answer = httpx.post(f"{base_url}/realms/{realm}/protocol/openid-connect/token", data=form, timeout=_TIMEOUT)
        members = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise NoTokenError(f"{base_url} does not answer: {error}") from error
    except ValueError as error:
        raise NoTokenError(f"{base_url} answers with HTTP {answer.status_code}, but not as Keycloak does") from error
    if not answer.is_success or "access_token" not in members:
        reason = members.get("error_description") or members.get("error") or f"HTTP {answer.status_code}"
        raise NoTokenError(f"{base_url} refuses {user}: {reason}")
    return str(members["access_token"])
