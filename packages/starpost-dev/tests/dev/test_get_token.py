"""`make -s token`: one token and nothing else, or one sentence."""

from __future__ import annotations

import os
import subprocess
import sys

import jwt
import pytest

from starpost_dev.commands.get_token import NoTokenError, get_token
from starpost_dev.testing.realm import IdentityServer, realm
from tests.keycloak.conftest import LogoutReceiver

__all__ = ["realm"]


def run(server: IdentityServer, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command against a server."""
    return subprocess.run(
        [sys.executable, "-m", "scripts.get_token", *arguments],
        env={**os.environ, "KEYCLOAK_BASE_URL": server.base_url, **variables},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_one_token_and_nothing_else(realm: IdentityServer) -> None:
    ended = run(realm, "carol")

    assert ended.returncode == 0
    assert ended.stderr == ""
    token = ended.stdout.removesuffix("\n")
    assert "\n" not in token
    assert jwt.decode(token, options={"verify_signature": False})["preferred_username"] == "carol"


def test_a_password_of_its_own(realm: IdentityServer) -> None:
    ended = run(realm, "carol", PASSWORD="wrong")

    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr == f"token: {realm.base_url} refuses carol: Invalid user credentials\n"


def test_another_client(realm: IdentityServer) -> None:
    token = get_token({"KEYCLOAK_BASE_URL": f"{realm.base_url}/", "KEYCLOAK_CLIENT_ID": "other-app"}, "bob", "bob")

    assert jwt.decode(token, options={"verify_signature": False})["azp"] == "other-app"


def test_a_confidential_client_sends_its_secret(realm: IdentityServer) -> None:
    variables = {"KEYCLOAK_BASE_URL": realm.base_url, "KEYCLOAK_CLIENT_ID": "starpost-service"}

    with pytest.raises(NoTokenError, match="Invalid client"):
        get_token(variables, "bob", "bob")
    with pytest.raises(NoTokenError, match="not allowed for direct access grants"):
        get_token({**variables, "KEYCLOAK_CLIENT_SECRET": "starpost-service"}, "bob", "bob")


def test_no_server() -> None:
    with LogoutReceiver() as gone:
        pass

    with pytest.raises(NoTokenError, match="does not answer"):
        get_token({"KEYCLOAK_BASE_URL": gone.url}, "bob", "bob")


def test_a_server_that_is_no_keycloak() -> None:
    with LogoutReceiver() as other, pytest.raises(NoTokenError, match="but not as Keycloak does"):
        get_token({"KEYCLOAK_BASE_URL": other.url}, "bob", "bob")
