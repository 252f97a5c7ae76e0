"""The token endpoint: who gets tokens, and what the others are told."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from keycloak import KeycloakOpenID
from starpost.testing import plain_http
from starpost_dev.testing.realm import CLIENT, REALM, IdentityServer
from tests.keycloak.conftest import claims_of

SERVICE = {"client_id": "starpost-service", "client_secret": "starpost-service"}


def refusal(answer: httpx.Response) -> tuple[int, str, str]:
    """An OAuth error answer: status, error, description."""
    body = answer.json()
    return answer.status_code, body["error"], body["error_description"]


# ---- password -------------------------------------------------------------------------------------------------------


def test_password_grant(server: IdentityServer) -> None:
    answer = server.sign_in("alice")

    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"
    tokens = answer.json()
    assert tokens["token_type"] == "Bearer"
    assert tokens["expires_in"] == 300
    assert tokens["refresh_expires_in"] == 1800
    assert set(tokens["scope"].split()) == {"openid", "email", "profile"}
    assert tokens["not-before-policy"] == 0
    assert tokens["session_state"] == claims_of(tokens["access_token"])["sid"]
    assert set(tokens) >= {"access_token", "refresh_token", "id_token"}


def test_without_the_openid_scope_there_is_no_id_token(server: IdentityServer) -> None:
    tokens = server.tokens("alice", scope=None)

    assert "id_token" not in tokens
    assert set(tokens["scope"].split()) == {"email", "profile"}


def test_names_are_not_case_sensitive(server: IdentityServer) -> None:
    assert server.sign_in("ALICE", password="alice").status_code == 200


def test_python_keycloak_signs_in_refreshes_and_logs_out(server: IdentityServer) -> None:
    client = KeycloakOpenID(server_url=server.base_url, client_id=CLIENT, realm_name=REALM)

    tokens = client.token("carol", "carol")
    fresh = client.refresh_token(tokens["refresh_token"])
    claims = client.userinfo(fresh["access_token"])
    assert isinstance(claims, dict)
    assert claims["preferred_username"] == "carol"
    assert client.decode_token(fresh["access_token"])["preferred_username"] == "carol"
    assert client.logout(fresh["refresh_token"]) == {}
    assert client.well_known()["issuer"] == server.issuer


@pytest.mark.parametrize(
    ("user", "password", "description"),
    [
        ("alice", "wrong", "Invalid user credentials"),
        ("alice", "", "Invalid user credentials"),
        ("no-such-user", "alice", "Invalid user credentials"),
        ("alice@example.org", "alice", "Invalid user credentials"),
        ("dave", "dave", "Account disabled"),
        ("dave", "wrong", "Invalid user credentials"),
        ("service-account-starpost-service", "starpost-service", "Invalid user credentials"),
    ],
)
def test_refused_password(server: IdentityServer, user: str, password: str, description: str) -> None:
    assert refusal(server.sign_in(user, password=password)) == (400, "invalid_grant", description)


def test_a_user_without_the_profile_is_not_set_up(server: IdentityServer, new_user: Callable[..., str]) -> None:
    name = new_user(email=None, firstName=None, lastName=None)

    answer = server.sign_in(name, password="secret")

    assert refusal(answer) == (400, "invalid_grant", "Account is not fully set up")


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({}, (400, "invalid_request", "Missing form parameter: grant_type")),
        (
            {"grant_type": "password", "client_id": "no-such-client", "username": "bob", "password": "bob"},
            (401, "invalid_client", "Invalid client or Invalid client credentials"),
        ),
        (
            {"grant_type": "password", "username": "bob", "password": "bob"},
            (401, "invalid_client", "Invalid client or Invalid client credentials"),
        ),
        (
            {"grant_type": "magic", "client_id": CLIENT},
            (400, "unsupported_grant_type", "Unsupported grant_type"),
        ),
        (
            {"grant_type": "password", "username": "bob", "password": "bob", **SERVICE},
            (400, "unauthorized_client", "Client not allowed for direct access grants"),
        ),
        (
            {"grant_type": "password", "client_id": CLIENT, "username": "bob", "password": "bob", "scope": "magic"},
            (400, "invalid_scope", "Invalid scopes: magic"),
        ),
        (
            {"grant_type": "password", "client_id": CLIENT, "username": "bob", "password": "bob", "scope": ""},
            (400, "invalid_scope", "Invalid scopes: "),
        ),
    ],
)
def test_refused_request(server: IdentityServer, form: dict[str, str], expected: tuple[int, str, str]) -> None:
    assert refusal(server.post("token", **form)) == expected


def test_a_parameter_that_stands_twice_is_refused(server: IdentityServer) -> None:
    body = f"grant_type=password&client_id={CLIENT}&username=bob&username=alice&password=bob"

    answer = plain_http.post(
        f"{server.protocol}/token", content=body, headers={"Content-Type": "application/x-www-form-urlencoded"}
    )

    assert refusal(answer) == (400, "invalid_request", "duplicated parameter")


def test_a_body_that_is_no_form_is_refused(server: IdentityServer) -> None:
    answer = plain_http.post(f"{server.protocol}/token", json={"grant_type": "password"})

    assert refusal(answer) == (400, "invalid_request", "Missing form parameter: grant_type")


def test_the_token_endpoint_takes_only_post(server: IdentityServer) -> None:
    answer = server.get("token")

    assert answer.status_code == 405
    assert answer.json() == {"error": "HTTP 405 Method Not Allowed"}


# ---- client credentials ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["form", "basic"])
def test_client_credentials(server: IdentityServer, way: str, verify: Callable[..., dict[str, Any]]) -> None:
    if way == "form":
        answer = server.post("token", grant_type="client_credentials", **SERVICE)
    else:
        answer = plain_http.post(
            f"{server.protocol}/token",
            data={"grant_type": "client_credentials"},
            auth=(SERVICE["client_id"], SERVICE["client_secret"]),
        )

    assert answer.status_code == 200
    tokens = answer.json()
    assert tokens["refresh_expires_in"] == 0
    assert "refresh_token" not in tokens
    assert "session_state" not in tokens
    claims = verify(tokens["access_token"])
    assert claims["azp"] == "starpost-service"
    assert claims["preferred_username"] == "service-account-starpost-service"
    assert "author-reader" in claims["realm_access"]["roles"]
    assert "sid" not in claims


@pytest.mark.parametrize(
    ("form", "description"),
    [
        ({"client_id": CLIENT}, "Public client not allowed to retrieve service account"),
        ({**SERVICE, "client_secret": "wrong"}, "Invalid client or Invalid client credentials"),
        ({"client_id": "starpost-service"}, "Invalid client or Invalid client credentials"),
    ],
)
def test_refused_client_credentials(server: IdentityServer, form: dict[str, str], description: str) -> None:
    answer = server.post("token", grant_type="client_credentials", **form)

    assert refusal(answer) == (401, "unauthorized_client", description)


# ---- refresh --------------------------------------------------------------------------------------------------------


def test_refresh_keeps_the_session(server: IdentityServer) -> None:
    first = server.tokens("bob")
    second = server.refresh(first["refresh_token"])

    assert second.status_code == 200
    fresh = second.json()
    assert fresh["session_state"] == first["session_state"]
    assert fresh["access_token"] != first["access_token"]
    assert fresh["refresh_token"] != first["refresh_token"]
    assert claims_of(fresh["id_token"])["sub"] == claims_of(first["id_token"])["sub"]


def test_a_refresh_token_is_spent_by_its_use(server: IdentityServer) -> None:
    first = server.tokens("bob")
    second = server.refresh(first["refresh_token"]).json()

    again = server.refresh(first["refresh_token"])

    assert refusal(again) == (400, "invalid_grant", "Maximum allowed refresh token reuse exceeded")
    # Who holds the newer one may be the thief: it is no longer good either.
    answer = server.refresh(second["refresh_token"])
    assert refusal(answer) == (400, "invalid_grant", "Session doesn't have required client")


def test_an_older_refresh_token_is_stale(server: IdentityServer) -> None:
    first = server.tokens("bob")
    second = server.refresh(first["refresh_token"]).json()
    time.sleep(1.1)
    third = server.refresh(second["refresh_token"]).json()

    assert refusal(server.refresh(first["refresh_token"])) == (400, "invalid_grant", "Stale token")
    answer = server.refresh(third["refresh_token"])
    assert refusal(answer) == (400, "invalid_grant", "Session doesn't have required client")


def test_expired_refresh_token(server: IdentityServer) -> None:
    tokens = server.tokens("bob", client="starpost-brief")
    assert tokens["expires_in"] == 2
    assert tokens["refresh_expires_in"] == 3
    time.sleep(tokens["refresh_expires_in"] + 1.1)

    answer = server.refresh(tokens["refresh_token"], client="starpost-brief")

    assert refusal(answer) == (400, "invalid_grant", "Token is not active")


def test_a_refresh_token_serves_its_own_client_alone(server: IdentityServer) -> None:
    tokens = server.tokens("bob")

    answer = server.refresh(tokens["refresh_token"], client="other-app")

    assert refusal(answer) == (
        400,
        "invalid_grant",
        "Invalid refresh token. Token client and authorized client don't match",
    )


@pytest.mark.parametrize("kind", ["garbage", "access_token", "id_token"])
def test_what_is_no_refresh_token(server: IdentityServer, kind: str) -> None:
    wrong = "garbage" if kind == "garbage" else server.tokens("bob")[kind]

    assert refusal(server.refresh(wrong)) == (400, "invalid_grant", "Invalid refresh token")


def test_no_refresh_token(server: IdentityServer) -> None:
    answer = server.post("token", grant_type="refresh_token", client_id=CLIENT)

    assert refusal(answer) == (400, "invalid_request", "No refresh token")
