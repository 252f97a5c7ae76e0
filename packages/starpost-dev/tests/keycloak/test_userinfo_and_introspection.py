"""What a token is worth: the user's claims, and introspection."""

from __future__ import annotations

import time

import httpx
import pytest

from starpost.testing import plain_http
from starpost_dev.testing.realm import CLIENT, IdentityServer
from tests.keycloak.conftest import claims_of

SERVICE = {"client_id": "starpost-service", "client_secret": "starpost-service"}


def test_userinfo(server: IdentityServer) -> None:
    answer = server.get("userinfo", token=server.token("alice"))

    assert answer.status_code == 200
    assert answer.json() == {
        "sub": "5f0a11ce-0000-4000-8000-000000000001",
        "email_verified": True,
        "name": "Alice Admin",
        "preferred_username": "alice",
        "given_name": "Alice",
        "family_name": "Admin",
        "email": "alice@example.org",
    }


@pytest.mark.parametrize("way", ["header", "form"])
def test_userinfo_by_post(server: IdentityServer, way: str) -> None:
    token = server.token("bob")
    options = (
        {"headers": {"Authorization": f"Bearer {token}"}} if way == "header" else {"data": {"access_token": token}}
    )

    answer = plain_http.post(f"{server.protocol}/userinfo", **options)

    assert answer.json()["preferred_username"] == "bob"


def challenge(answer: httpx.Response) -> tuple[int, str]:
    """The status and the challenge of a refused bearer token."""
    return answer.status_code, answer.headers["www-authenticate"]


def test_userinfo_without_a_token(server: IdentityServer) -> None:
    assert challenge(server.get("userinfo")) == (401, 'Bearer realm="starpost"')


@pytest.mark.parametrize("kind", ["garbage", "id_token", "refresh_token"])
def test_userinfo_with_what_is_no_access_token(server: IdentityServer, kind: str) -> None:
    wrong = "garbage" if kind == "garbage" else server.tokens("bob")[kind]

    assert challenge(server.get("userinfo", token=wrong)) == (
        401,
        'Bearer realm="starpost", error="invalid_token", error_description="Token verification failed"',
    )


def test_userinfo_with_an_expired_token(server: IdentityServer) -> None:
    tokens = server.tokens("bob", client="starpost-brief")
    time.sleep(tokens["expires_in"] + 1.1)

    assert challenge(server.get("userinfo", token=tokens["access_token"])) == (
        401,
        'Bearer realm="starpost", error="invalid_token", error_description="Token verification failed"',
    )


def test_userinfo_needs_the_openid_scope(server: IdentityServer) -> None:
    assert challenge(server.get("userinfo", token=server.token("bob", scope=None))) == (
        403,
        'Bearer realm="starpost", error="insufficient_scope", error_description="Missing openid scope"',
    )


def test_userinfo_after_logout(server: IdentityServer) -> None:
    tokens = server.tokens("bob")
    server.post("logout", client_id=CLIENT, refresh_token=tokens["refresh_token"])

    assert challenge(server.get("userinfo", token=tokens["access_token"])) == (
        401,
        'Bearer realm="starpost", error="invalid_token", error_description="user_session_not_found"',
    )


def test_introspection_of_a_good_token(server: IdentityServer) -> None:
    token = server.post("token", grant_type="client_credentials", **SERVICE).json()["access_token"]

    answer = server.post("token/introspect", token=token, **SERVICE)

    assert answer.status_code == 200
    found, claims = answer.json(), claims_of(token)
    assert found["active"] is True
    assert found["username"] == "service-account-starpost-service"
    assert found["client_id"] == "starpost-service"
    assert found["token_type"] == "Bearer"
    for name in ("iss", "sub", "exp", "iat", "azp", "scope", "jti"):
        assert found[name] == claims[name]
    assert set(found["realm_access"]["roles"]) == set(claims["realm_access"]["roles"])


@pytest.mark.parametrize("kind", ["garbage", "access_token", "refresh_token", "id_token"])
def test_a_token_for_somebody_else_is_not_active(server: IdentityServer, kind: str) -> None:
    token = "garbage" if kind == "garbage" else server.tokens("alice")[kind]

    answer = server.post("token/introspect", token=token, **SERVICE)

    assert answer.status_code == 200
    assert answer.json() == {"active": False}


@pytest.mark.parametrize(
    ("form", "status", "error", "description"),
    [
        ({"client_id": CLIENT, "token": "x"}, 403, "invalid_request", "Client not allowed."),
        (
            {**SERVICE, "client_secret": "wrong", "token": "x"},
            401,
            "invalid_client",
            "Client authentication failed.",
        ),
        (SERVICE, 400, "invalid_request", "Token not provided."),
    ],
)
def test_refused_introspection(
    server: IdentityServer, form: dict[str, str], status: int, error: str, description: str
) -> None:
    answer = server.post("token/introspect", **form)

    assert answer.status_code == status
    assert answer.json() == {"error": error, "error_description": description}
