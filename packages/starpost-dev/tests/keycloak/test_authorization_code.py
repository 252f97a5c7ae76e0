"""Signing in by a browser: the authorization endpoint, the form, the code and PKCE."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from starpost_dev.testing.realm import CLIENT, IdentityServer
from tests.keycloak.browser import Browser, Page

REDIRECT_URI = "http://127.0.0.1:41234/oauth2-redirect"
VERIFIER = secrets.token_urlsafe(48)
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
REQUEST = {
    "client_id": CLIENT,
    "response_type": "code",
    "redirect_uri": REDIRECT_URI,
    "scope": "openid",
    "state": "state-1",
    "nonce": "nonce-1",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}

NO_CHANGES: dict[str, str] = {}


def open_form(server: IdentityServer, browser: Browser, drop: tuple[str, ...] = (), **changes: str) -> Page:
    """Ask for a code."""
    query = {name: value for name, value in (REQUEST | changes).items() if name not in drop}
    return browser.get(f"{server.protocol}/auth", **query)


def answer_of(page: Page) -> dict[str, str]:
    """What the redirection tells the client."""
    assert page.status == 302, page.text
    assert page.location is not None
    assert page.location.startswith(f"{REDIRECT_URI}?")
    return dict(parse_qsl(urlsplit(page.location).query))


def sign_in(server: IdentityServer, browser: Browser, user: str = "alice", **changes: str) -> dict[str, str]:
    """Sign in by the form; returns what the client is told."""
    form = open_form(server, browser, (), **changes)
    return answer_of(browser.submit(form, username=user, password=user))


def exchange(server: IdentityServer, code: str, drop: tuple[str, ...] = (), **changes: str) -> httpx.Response:
    """Exchange a code for tokens."""
    form = {
        "grant_type": "authorization_code",
        "client_id": CLIENT,
        "code": code,
        "redirect_uri": REDIRECT_URI,
        "code_verifier": VERIFIER,
    } | changes
    return server.post("token", **{name: value for name, value in form.items() if name not in drop})


def test_sign_in_by_the_form(server: IdentityServer, verify: Callable[..., dict[str, Any]]) -> None:
    answer = sign_in(server, Browser())

    assert answer["state"] == "state-1"
    assert answer["iss"] == server.issuer
    response = exchange(server, answer["code"])
    assert response.status_code == 200
    tokens = response.json()
    claims = verify(tokens["access_token"])
    assert claims["sid"] == answer["session_state"] == tokens["session_state"]
    assert claims["preferred_username"] == "alice"
    assert claims["auth_time"] <= claims["iat"]
    identity = verify(tokens["id_token"])
    assert identity["nonce"] == "nonce-1"
    assert identity["auth_time"] == claims["auth_time"]


def test_a_wrong_password_shows_the_form_again(server: IdentityServer) -> None:
    browser = Browser()

    again = browser.submit(open_form(server, browser), username="alice", password="wrong")

    assert again.status == 200
    assert "Invalid username or password." in again.text
    assert answer_of(browser.submit(again, username="alice", password="alice"))["code"]


def test_a_disabled_user_is_told(server: IdentityServer) -> None:
    browser = Browser()

    page = browser.submit(open_form(server, browser), username="dave", password="dave")

    assert page.status == 200
    assert "Account is disabled, contact your administrator." in page.text


def test_the_form_belongs_to_the_browser_that_it_was_shown_to(server: IdentityServer) -> None:
    form = open_form(server, Browser())

    page = Browser().submit(form, username="alice", password="alice")

    assert page.status == 400
    assert page.location is None


def test_a_form_is_answered_once(server: IdentityServer) -> None:
    browser = Browser()
    form = open_form(server, browser)
    browser.submit(form, username="alice", password="alice")

    page = browser.submit(form, username="bob", password="bob")

    # Keycloak may send the browser on, but never as the second user.
    assert "KEYCLOAK_IDENTITY" in browser.cookies
    code = dict(parse_qsl(urlsplit(page.location or "").query)).get("code")
    assert code is None


def test_forms_and_answers_are_not_stored_or_framed(server: IdentityServer) -> None:
    page = open_form(server, Browser())

    assert "no-store" in page.headers["cache-control"]
    assert "frame-ancestors 'self'" in page.headers["content-security-policy"]
    assert page.headers["referrer-policy"] == "no-referrer"
    for line in page.headers.get_list("set-cookie"):
        assert "Path=/realms/starpost/" in line


def test_markup_in_a_name_stays_text(server: IdentityServer) -> None:
    browser = Browser()

    page = browser.submit(open_form(server, browser), username='"><script>alert(1)</script>', password="x")

    assert page.status == 200
    assert page.action is not None
    assert "alert(1)" not in page.text


@pytest.mark.parametrize(
    ("changes", "drop"),
    [
        ({"client_id": "no-such-client"}, ()),
        ({}, ("client_id",)),
        ({}, ("redirect_uri",)),
        ({"client_id": "other-app"}, ()),
        ({"redirect_uri": "http://example.org/"}, ()),
        ({"redirect_uri": "http://127.0.0.1.example.org/"}, ()),
        ({"redirect_uri": "http://127.0.0.1:41234@example.org/"}, ()),
        ({"redirect_uri": "http://127.0.0.1:41234/../x"}, ()),
        ({"redirect_uri": "https://127.0.0.1:41234/"}, ()),
        ({"redirect_uri": "javascript:alert(1)"}, ()),
    ],
)
def test_nobody_unknown_is_answered_by_redirection(
    server: IdentityServer, changes: dict[str, str], drop: tuple[str, ...]
) -> None:
    page = open_form(server, Browser(), drop, **changes)

    assert page.status == 400
    assert page.location is None


@pytest.mark.parametrize("uri", ["http://127.0.0.1/x", "http://127.0.0.1:1/x?y=1", "http://localhost:65535/"])
def test_the_loopback_is_good_on_every_port(server: IdentityServer, uri: str) -> None:
    assert open_form(server, Browser(), redirect_uri=uri).action is not None


@pytest.mark.parametrize(
    ("changes", "drop", "error", "description"),
    [
        ({}, ("response_type",), "invalid_request", "Missing parameter: response_type"),
        ({"response_type": "magic"}, (), "unsupported_response_type", None),
        ({"scope": "magic"}, (), "invalid_scope", "Invalid scopes: magic"),
        ({"prompt": "none"}, (), "login_required", None),
        (
            {},
            ("code_challenge", "code_challenge_method"),
            "invalid_request",
            "Missing parameter: code_challenge_method",
        ),
        ({}, ("code_challenge_method",), "invalid_request", "Missing parameter: code_challenge_method"),
        ({}, ("code_challenge",), "invalid_request", "Missing parameter: code_challenge"),
        ({"code_challenge": "short"}, (), "invalid_request", "Invalid parameter: code_challenge"),
        (
            {"code_challenge_method": "plain"},
            (),
            "invalid_request",
            "Invalid parameter: code challenge method is not matching the configured one",
        ),
    ],
)
def test_refused_request(
    server: IdentityServer, changes: dict[str, str], drop: tuple[str, ...], error: str, description: str | None
) -> None:
    answer = answer_of(open_form(server, Browser(), drop, **changes))

    assert answer["error"] == error
    assert answer.get("error_description") == description
    assert answer["state"] == "state-1"
    assert answer["iss"] == server.issuer
    assert "code" not in answer


def test_without_a_state_there_is_none_in_the_answer(server: IdentityServer) -> None:
    answer = answer_of(open_form(server, Browser(), ("state",), prompt="none"))

    assert "state" not in answer


@pytest.mark.parametrize(
    ("changes", "drop", "description"),
    [
        ({}, ("code_verifier",), "PKCE code verifier not specified"),
        ({"code_verifier": "short"}, (), "PKCE verification failed: Invalid code verifier"),
        ({"code_verifier": "v" * 43}, (), "PKCE verification failed: Code mismatch"),
        ({"redirect_uri": f"{REDIRECT_URI}/other"}, (), "Incorrect redirect_uri"),
        ({"client_id": "other-app"}, (), "Auth error: Found different client_id in clientSession"),
    ],
)
def test_refused_exchange(
    server: IdentityServer, changes: dict[str, str], drop: tuple[str, ...], description: str
) -> None:
    code = sign_in(server, Browser())["code"]

    answer = exchange(server, code, drop, **changes)

    assert answer.status_code == 400
    assert answer.json() == {"error": "invalid_grant", "error_description": description}
    # One try is all there is.
    assert exchange(server, code).json()["error_description"] == "Code not valid"


@pytest.mark.parametrize("code", ["garbage", "a.b.c"])
def test_unknown_code(server: IdentityServer, code: str) -> None:
    assert exchange(server, code).json() == {"error": "invalid_grant", "error_description": "Code not valid"}


def test_a_code_that_comes_twice_ends_what_it_was_exchanged_for(server: IdentityServer) -> None:
    code = sign_in(server, Browser())["code"]
    tokens = exchange(server, code).json()

    assert exchange(server, code).json()["error_description"] == "Code not valid"

    assert server.get("userinfo", token=tokens["access_token"]).status_code == 401
    assert server.refresh(tokens["refresh_token"]).status_code == 400


def test_a_browser_that_is_signed_in_is_not_asked_again(server: IdentityServer) -> None:
    browser = Browser()
    first = sign_in(server, browser)

    for changes in (NO_CHANGES, {"prompt": "none"}):
        second = answer_of(open_form(server, browser, (), **changes))
        assert second["session_state"] == first["session_state"]
        assert exchange(server, second["code"]).status_code == 200


def test_a_browser_that_is_signed_in_can_be_asked_again(server: IdentityServer) -> None:
    browser = Browser()
    sign_in(server, browser)

    assert open_form(server, browser, prompt="login").action is not None
