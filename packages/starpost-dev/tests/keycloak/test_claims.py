"""What the tokens say."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from starpost_dev.testing.realm import IdentityServer
from tests.keycloak.conftest import claims_of, header_of

Verify = Callable[..., dict[str, Any]]

DEFAULT_ROLES = {"default-roles-starpost", "offline_access", "uma_authorization"}
ACCOUNT_ROLES = {"manage-account", "manage-account-links", "view-profile"}


def test_access_token(server: IdentityServer, verify: Verify) -> None:
    token = server.token("alice")

    header = header_of(token)
    assert header["alg"] == "RS256"
    assert header["typ"] == "JWT"
    claims = verify(token)
    assert claims["iss"] == server.issuer
    assert claims["sub"] == "5f0a11ce-0000-4000-8000-000000000001"
    assert sorted(claims["aud"]) == ["account", "starpost"]
    assert claims["azp"] == "starpost"
    assert claims["typ"] == "Bearer"
    assert set(claims["scope"].split()) == {"openid", "email", "profile"}
    assert claims["sid"]
    assert claims["jti"]
    assert claims["acr"] == "1"
    assert claims["exp"] - claims["iat"] == 300
    assert abs(claims["iat"] - time.time()) < 60
    assert claims["allowed-origins"] == ["*"]
    assert "auth_time" not in claims
    assert profile_of(claims) == ALICE


ALICE = {
    "preferred_username": "alice",
    "name": "Alice Admin",
    "given_name": "Alice",
    "family_name": "Admin",
    "email": "alice@example.org",
    "email_verified": True,
}


def profile_of(claims: dict[str, Any]) -> dict[str, Any]:
    """The claims that describe the person."""
    return {name: claims[name] for name in ALICE}


def test_id_token(server: IdentityServer, verify: Verify) -> None:
    tokens = server.tokens("alice")

    claims = verify(tokens["id_token"])
    assert claims["aud"] == "starpost"
    assert claims["azp"] == "starpost"
    assert claims["typ"] == "ID"
    assert claims["sid"] == tokens["session_state"]
    assert claims["at_hash"]
    assert profile_of(claims) == ALICE
    assert "realm_access" not in claims


def test_refresh_token(server: IdentityServer) -> None:
    token = server.tokens("alice")["refresh_token"]

    assert header_of(token)["alg"] == "HS512"
    claims = claims_of(token)
    assert claims["typ"] == "Refresh"
    assert claims["iss"] == claims["aud"] == server.issuer
    assert claims["azp"] == "starpost"
    assert claims["exp"] - claims["iat"] == 1800


@pytest.mark.parametrize(
    ("user", "roles"),
    [
        ("alice", {"admin", "author-editor", "author-reader"}),
        ("carol", {"author-editor", "author-reader"}),
        ("bob", {"author-reader"}),
        ("erin", set()),
        ("mallory", set()),
    ],
)
def test_composite_roles_are_expanded(server: IdentityServer, verify: Verify, user: str, roles: set[str]) -> None:
    claims = verify(server.token(user))

    assert set(claims["realm_access"]["roles"]) == roles | DEFAULT_ROLES
    assert set(claims["resource_access"]["account"]["roles"]) == ACCOUNT_ROLES


def test_client_roles(server: IdentityServer, verify: Verify) -> None:
    access = verify(server.token("erin"))["resource_access"]

    assert access["starpost"] == {"roles": ["author-reader"]}


def test_another_client_of_the_realm_gets_another_audience(server: IdentityServer, verify: Verify) -> None:
    claims = verify(server.token("mallory", client="other-app"), audience="account")

    assert claims["aud"] == "account"
    assert claims["azp"] == "other-app"


def test_a_client_whose_roles_are_carried_is_in_the_audience(server: IdentityServer, verify: Verify) -> None:
    claims = verify(server.token("erin", client="other-app"), audience="starpost")

    assert sorted(claims["aud"]) == ["account", "starpost"]


def test_a_user_without_default_roles_has_no_realm_access(server: IdentityServer, verify: Verify) -> None:
    claims = verify(server.token("realm-admin"))

    assert "realm_access" not in claims
    assert set(claims["resource_access"]["realm-management"]["roles"]) == {
        "manage-users",
        "query-groups",
        "query-users",
        "view-realm",
        "view-users",
    }


def test_the_token_of_the_administration_client_is_light(server: IdentityServer) -> None:
    claims = claims_of(server.token("alice", client="admin-cli", scope=None))

    assert set(claims) == {"exp", "iat", "jti", "iss", "typ", "azp", "sid", "scope"}


def test_lifetime_that_a_client_sets_for_itself(server: IdentityServer, verify: Verify) -> None:
    claims = verify(server.token("bob", client="starpost-brief"))

    assert claims["exp"] - claims["iat"] == 2


def test_every_token_has_an_id_of_its_own(server: IdentityServer) -> None:
    first, second = server.tokens("bob"), server.tokens("bob")

    assert claims_of(first["access_token"])["jti"] != claims_of(second["access_token"])["jti"]
    assert first["session_state"] != second["session_state"]
