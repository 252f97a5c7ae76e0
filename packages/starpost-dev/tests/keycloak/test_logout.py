"""Logout: by refresh token, by browser, by an administrator, and what the client is told."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from keycloak import KeycloakAdmin
from starpost_dev.testing.realm import CLIENT, IdentityServer
from tests.keycloak.browser import Browser
from tests.keycloak.conftest import LogoutReceiver, claims_of, header_of
from tests.keycloak.test_authorization_code import exchange, open_form, sign_in

LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
SIGNED_OUT = "http://127.0.0.1:41234/signed-out"


def is_over(server: IdentityServer, tokens: dict[str, Any]) -> bool:
    """Whether the session of these tokens has ended."""
    answer = server.refresh(tokens["refresh_token"])
    return answer.status_code == 400 and answer.json()["error_description"] == "Session not active"


def test_logout_ends_the_session(server: IdentityServer) -> None:
    tokens, other = server.tokens("bob"), server.tokens("bob")

    answer = server.post("logout", client_id=CLIENT, refresh_token=tokens["refresh_token"])

    assert answer.status_code == 204
    assert is_over(server, tokens)
    assert not is_over(server, other)


def test_logout_twice(server: IdentityServer) -> None:
    tokens = server.tokens("bob")
    server.post("logout", client_id=CLIENT, refresh_token=tokens["refresh_token"])

    assert server.post("logout", client_id=CLIENT, refresh_token=tokens["refresh_token"]).status_code == 204


@pytest.mark.parametrize("kind", ["garbage", "access_token"])
def test_logout_without_a_refresh_token(server: IdentityServer, kind: str) -> None:
    tokens = server.tokens("bob")
    wrong = "garbage" if kind == "garbage" else tokens[kind]

    answer = server.post("logout", client_id=CLIENT, refresh_token=wrong)

    assert answer.status_code == 400
    assert answer.json() == {"error": "invalid_grant", "error_description": "Invalid refresh token"}
    assert not is_over(server, tokens)


def test_another_client_cannot_end_it(server: IdentityServer) -> None:
    tokens = server.tokens("bob")

    answer = server.post("logout", client_id="other-app", refresh_token=tokens["refresh_token"])

    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_grant"
    assert not is_over(server, tokens)


# ---- back-channel ---------------------------------------------------------------------------------------------------


def test_the_client_gets_a_logout_token(
    server: IdentityServer, receiver: LogoutReceiver, verify: Callable[..., dict[str, Any]]
) -> None:
    tokens = server.tokens("carol")

    server.post("logout", client_id=CLIENT, refresh_token=tokens["refresh_token"])

    token = receiver.next()
    assert header_of(token)["typ"] == "logout+jwt"
    claims = verify(token)
    assert set(claims) == {"iss", "sub", "aud", "iat", "exp", "jti", "events", "sid", "typ"}
    assert claims["typ"] == "Logout"
    assert claims["sid"] == tokens["session_state"]
    assert claims["sub"] == claims_of(tokens["access_token"])["sub"]
    assert claims["aud"] == CLIENT
    assert claims["events"] == {LOGOUT_EVENT: {}}
    assert claims["exp"] - claims["iat"] == 120
    assert receiver.tokens.empty()


def test_an_administrator_ends_all_sessions_of_a_user(
    server: IdentityServer, receiver: LogoutReceiver, admin: KeycloakAdmin, new_user: Callable[..., str]
) -> None:
    name = new_user()
    sessions = [server.tokens(name, password="secret") for _ in range(2)]
    user_id = str(admin.get_user_id(name))
    assert {session["id"] for session in admin.get_sessions(user_id)} == {held["session_state"] for held in sessions}

    admin.user_logout(user_id)

    assert {claims_of(receiver.next())["sid"] for _ in sessions} == {held["session_state"] for held in sessions}
    assert all(is_over(server, held) for held in sessions)
    assert admin.get_sessions(user_id) == []
    assert server.sign_in(name, password="secret").status_code == 200


def test_a_client_that_takes_no_part_is_not_told(server: IdentityServer, receiver: LogoutReceiver) -> None:
    tokens = server.tokens("carol", client="other-app")

    server.post("logout", client_id="other-app", refresh_token=tokens["refresh_token"])

    assert receiver.tokens.empty()


def test_a_client_that_does_not_answer_stops_no_logout(server: IdentityServer) -> None:
    with LogoutReceiver() as gone:
        pass
    server.set_backchannel_logout_url(gone.url)
    tokens = server.tokens("carol")

    assert server.post("logout", client_id=CLIENT, refresh_token=tokens["refresh_token"]).status_code == 204
    assert is_over(server, tokens)


def test_a_client_that_refuses_stops_no_logout(server: IdentityServer) -> None:
    with LogoutReceiver(status=500) as refusing:
        server.set_backchannel_logout_url(refusing.url)
        tokens = server.tokens("carol")

        answer = server.post("logout", client_id=CLIENT, refresh_token=tokens["refresh_token"])

        refusing.next()
    assert answer.status_code == 204
    assert is_over(server, tokens)


# ---- by browser -----------------------------------------------------------------------------------------------------


def test_a_browser_logs_out_with_its_id_token(server: IdentityServer, receiver: LogoutReceiver) -> None:
    browser = Browser()
    tokens = exchange(server, sign_in(server, browser)["code"]).json()

    page = browser.get(
        f"{server.protocol}/logout",
        id_token_hint=tokens["id_token"],
        post_logout_redirect_uri=SIGNED_OUT,
        state="state-2",
    )

    assert page.status == 302
    assert page.location == f"{SIGNED_OUT}?state=state-2"
    assert claims_of(receiver.next())["sid"] == tokens["session_state"]
    assert is_over(server, tokens)
    assert "login_required" in str(open_form(server, browser, prompt="none").location)


def test_the_id_token_is_enough(server: IdentityServer, receiver: LogoutReceiver) -> None:
    tokens = server.tokens("bob")

    page = Browser().get(f"{server.protocol}/logout", id_token_hint=tokens["id_token"])

    assert page.status == 200
    assert "You are logged out" in page.text
    assert claims_of(receiver.next())["sid"] == tokens["session_state"]
    assert is_over(server, tokens)


def test_an_expired_id_token_is_enough(server: IdentityServer) -> None:
    tokens = server.tokens("bob", client="starpost-brief")
    time.sleep(tokens["expires_in"] + 0.5)

    page = Browser().get(f"{server.protocol}/logout", id_token_hint=tokens["id_token"])

    assert page.status == 200
    assert "You are logged out" in page.text


def test_without_an_id_token_the_user_is_asked(server: IdentityServer, receiver: LogoutReceiver) -> None:
    browser = Browser()
    tokens = exchange(server, sign_in(server, browser)["code"]).json()

    question = browser.get(f"{server.protocol}/logout")

    assert "Do you want to log out?" in question.text
    assert not is_over(server, tokens)
    tokens = exchange(server, sign_in_again(server, browser)).json()
    answer = browser.submit(browser.get(f"{server.protocol}/logout"), confirmLogout="Logout")
    assert "You are logged out" in answer.text
    assert claims_of(receiver.next())["sid"] == tokens["session_state"]


def sign_in_again(server: IdentityServer, browser: Browser) -> str:
    """A fresh code for a browser that is signed in."""
    location = str(open_form(server, browser).location)
    return location.partition("code=")[2].partition("&")[0]


@pytest.mark.parametrize(
    "query",
    [
        {"post_logout_redirect_uri": "http://example.org/"},
        {"id_token_hint": "garbage"},
    ],
)
def test_refused_logout_by_browser(server: IdentityServer, query: dict[str, str]) -> None:
    tokens = server.tokens("bob")

    page = Browser().get(f"{server.protocol}/logout", **{"id_token_hint": tokens["id_token"], **query})

    assert page.status == 400
    assert page.location is None
    assert not is_over(server, tokens)
