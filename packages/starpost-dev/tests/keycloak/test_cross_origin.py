"""A page in a browser, served from another port, uses the endpoints."""

from __future__ import annotations

import httpx
import pytest

from starpost.testing import plain_http
from starpost_dev.testing.realm import CLIENT, IdentityServer

ORIGIN = "http://127.0.0.1:41234"


def test_preflight(server: IdentityServer) -> None:
    answer = httpx.options(
        f"{server.protocol}/token",
        headers={
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,x-requested-with",
        },
    )

    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "POST" in answer.headers["access-control-allow-methods"]
    allowed = answer.headers["access-control-allow-headers"].lower()
    assert "authorization" in allowed
    assert "x-requested-with" in allowed


def sign_in(server: IdentityServer, client: str, password: str) -> httpx.Response:
    """Ask for tokens from a page."""
    form = {"grant_type": "password", "client_id": client, "username": "bob", "password": password}
    return plain_http.post(f"{server.protocol}/token", data=form, headers={"Origin": ORIGIN})


@pytest.mark.parametrize("password", ["bob", "wrong"])
def test_the_client_s_pages_read_the_answer(server: IdentityServer, password: str) -> None:
    answer = sign_in(server, CLIENT, password)

    assert answer.headers["access-control-allow-origin"] == ORIGIN


def test_pages_of_a_client_without_web_origins_do_not(server: IdentityServer) -> None:
    answer = sign_in(server, "other-app", "bob")

    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/protocol/openid-connect/certs"])
def test_what_is_public_is_read_by_every_page(server: IdentityServer, path: str) -> None:
    answer = plain_http.get(f"{server.issuer}{path}", headers={"Origin": ORIGIN})

    assert answer.headers["access-control-allow-origin"] in (ORIGIN, "*")


def test_userinfo_is_read_by_the_client_s_pages(server: IdentityServer) -> None:
    token = server.token("bob")

    answer = plain_http.get(
        f"{server.protocol}/userinfo", headers={"Origin": ORIGIN, "Authorization": f"Bearer {token}"}
    )

    assert answer.headers["access-control-allow-origin"] == ORIGIN


def test_without_an_origin_nothing_is_said(server: IdentityServer) -> None:
    assert "access-control-allow-origin" not in server.get("certs").headers
