"""Tokens of the realm, from the ways to get one to a packet that is answered, and to the end of their session."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from keycloak import KeycloakAdmin

from starpost.testing.packet_client import PacketClient
from starpost_dev.testing.realm import CLIENT, IdentityServer
from tests.e2e.keycloak.conftest import Application
from tests.keycloak.browser import Browser
from tests.keycloak.conftest import claims_of
from tests.keycloak.test_authorization_code import exchange, sign_in

PING, AUTH = -1, -2
GET_AUTHORS, CREATE_AUTHOR, DELETE_AUTHOR = 1, 2, 5
SESSION_REVOKED = (4401, "session_revoked")

WAYS: dict[str, Callable[[str], dict[str, Any]]] = {
    "header": lambda token: {"token": token},
    "subprotocol": lambda token: {"subprotocols": ["json", f"bearer.{token}"]},
    "query": lambda token: {"path": f"/web?Authorization={quote(f'Bearer {token}')}"},
    "header, MessagePack": lambda token: {"token": token, "codec": "msgpack"},
    "AUTH": lambda _: {},
}


async def enter(application: Application, way: str, token: str) -> PacketClient:
    """Connect in one of the four ways."""
    client = await application.open(**WAYS[way](token))
    if way == "AUTH":
        reply = await client.ask(AUTH, {"token": token})
        assert reply["status_code"] == 0, reply
    return client


def author() -> dict[str, str]:
    return {"name": f"Author {uuid4().hex}"}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("user", "may_create", "may_delete"),
    [("alice", True, True), ("carol", True, False), ("bob", False, False), ("erin", False, False)],
)
async def test_the_four_ways_in(
    application: Application, server: IdentityServer, way: str, user: str, *, may_create: bool, may_delete: bool
) -> None:
    client = await enter(application, way, server.token(user))

    assert (await client.ask(GET_AUTHORS, {"per_page": 1}))["status_code"] == 0
    created = await client.ask(CREATE_AUTHOR, author())
    assert created["status_code"] == (0 if may_create else 3)
    deleted = await client.ask(DELETE_AUTHOR, {"id": created["data"]["id"] if may_create else 1})
    assert deleted["status_code"] == (0 if may_delete else 3)


async def test_a_user_without_a_role_is_known_and_refused(application: Application, server: IdentityServer) -> None:
    token = server.token("mallory")
    client = await application.open(token)
    assert (await client.ask(PING))["status_code"] == 0
    assert (await client.ask(GET_AUTHORS))["data"]["code"] == "permission_denied"
    assert (await application.http("GET", "/authors", token)).status_code == 403


async def test_a_service_is_let_in_with_its_own_token(application: Application, server: IdentityServer) -> None:
    grant = {"client_id": "starpost-service", "client_secret": "starpost-service"}
    token = server.post("token", grant_type="client_credentials", **grant).json()["access_token"]
    assert (await application.http("GET", "/authors", token)).status_code == 200
    client = await application.open(token)
    assert (await client.ask(GET_AUTHORS))["status_code"] == 0


async def test_a_browser_signs_in_sends_a_packet_and_logs_out(application: Application, server: IdentityServer) -> None:
    browser = Browser()
    tokens = exchange(server, sign_in(server, browser, "carol")["code"]).json()
    token = tokens["access_token"]
    client = await enter(application, "subprotocol", token)
    known = (await client.ask(AUTH, {"token": token}))["data"]
    assert known["user"] == "carol"
    assert {"author-editor", "author-reader"} <= set(known["roles"])
    assert (await client.ask(CREATE_AUTHOR, author()))["status_code"] == 0

    page = await asyncio.to_thread(browser.get, f"{server.protocol}/logout", id_token_hint=tokens["id_token"])

    assert page.status == 200
    code, closing = await client.closed()
    assert (code, closing["reason"]) == SESSION_REVOKED
    await is_refused(application, token)
    assert server.refresh(tokens["refresh_token"]).status_code == 400


async def is_refused(application: Application, token: str) -> None:
    """Over HTTP and on the socket, by both workers, which hear of a logout one after the other."""
    async with asyncio.timeout(100):
        while (answer := await application.http("GET", "/authors", token)).status_code == 200:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")
    for _ in range(4):
        assert (await (await application.open(token)).closed())[0] == 4401


# ---- logout ----------------------------------------------------------------------------------------------------------


async def test_a_logout_ends_the_session_and_no_other(application: Application, server: IdentityServer) -> None:
    ending, staying = server.tokens("bob"), server.tokens("bob")
    ended = [await enter(application, way, ending["access_token"]) for way in WAYS]
    kept = await application.open(staying["access_token"])

    await asyncio.to_thread(server.post, "logout", client_id=CLIENT, refresh_token=ending["refresh_token"])

    for client in ended:
        code, closing = await client.closed()
        assert (code, closing["reason"]) == SESSION_REVOKED
    await is_refused(application, ending["access_token"])
    assert (await kept.ask(GET_AUTHORS))["status_code"] == 0
    assert (await application.http("GET", "/authors", staying["access_token"])).status_code == 200


async def test_an_administrator_ends_all_sessions_of_a_user(
    application: Application, server: IdentityServer, admin: KeycloakAdmin, new_user: Callable[..., str]
) -> None:
    name = new_user()
    tokens = [server.token(name, password="secret") for _ in range(2)]
    clients = [await application.open(token) for token in tokens]
    for client in clients:
        assert (await client.ask(PING))["status_code"] == 0

    await asyncio.to_thread(admin.user_logout, str(admin.get_user_id(name)))

    for client, token in zip(clients, tokens, strict=True):
        code, closing = await client.closed()
        assert (code, closing["reason"]) == SESSION_REVOKED
        await is_refused(application, token)
    again = await application.open(server.token(name, password="secret"))
    assert (await again.ask(PING))["status_code"] == 0


# ---- roles -----------------------------------------------------------------------------------------------------------


async def test_a_role_that_is_taken_away_is_gone_with_the_next_token(
    application: Application, server: IdentityServer, admin: KeycloakAdmin, new_user: Callable[..., str]
) -> None:
    name = new_user()
    user_id = str(admin.get_user_id(name))
    editor = admin.get_realm_role("author-editor")
    admin.assign_realm_roles(user_id, [editor])
    before = server.tokens(name, password="secret")
    client = await application.open(before["access_token"])
    assert (await client.ask(CREATE_AUTHOR, author()))["status_code"] == 0
    created = await application.http("POST", "/authors", before["access_token"], json=author())
    assert created.status_code == 201

    admin.delete_realm_roles_of_user(user_id, [editor])

    # What a token says holds until it ends: Keycloak is not asked on the way of a request.
    assert (await client.ask(CREATE_AUTHOR, author()))["status_code"] == 0
    after = server.refresh(before["refresh_token"]).json()["access_token"]
    assert "author-editor" not in claims_of(after)["realm_access"]["roles"]
    refused = await application.http("POST", "/authors", after, json=author())
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    replaced = await client.ask(AUTH, {"token": after})
    assert replaced["status_code"] == 0
    assert not {"author-editor", "author-reader"} & set(replaced["data"]["roles"])
    for pkg_id, data in ((CREATE_AUTHOR, author()), (GET_AUTHORS, {})):
        assert (await client.ask(pkg_id, data))["data"]["code"] == "permission_denied"


async def test_an_administrator_signs_a_user_out(
    application: Application, server: IdentityServer, new_user: Callable[..., str]
) -> None:
    """The client of a user who was put out does not come back with a refreshed token."""
    admin_token = await asyncio.to_thread(server.token, "alice")
    name = await asyncio.to_thread(new_user)
    put_out, signed_out = [await asyncio.to_thread(server.tokens, name, password="secret") for _ in range(2)]
    clients = [await application.open(tokens["access_token"]) for tokens in (put_out, signed_out) for _ in range(3)]
    bystander = await application.open(await asyncio.to_thread(server.token, "bob"))
    for client in [*clients, bystander]:
        assert (await client.ask(PING))["status_code"] == 0

    answer = await application.http("DELETE", f"/connections?user={name}", admin_token)

    assert (answer.status_code, answer.content) == (204, b"")
    for client in clients:
        code, closing = await client.closed()
        assert (code, closing["reason"]) == SESSION_REVOKED
    refreshed = await asyncio.to_thread(server.refresh, put_out["refresh_token"])
    assert refreshed.status_code == 200, "without sign_out a refresh token is as good as before"

    answer = await application.http("DELETE", f"/connections?user={name.upper()}&sign_out=true", admin_token)

    assert (answer.status_code, answer.content) == (204, b"")
    for refresh_token in (refreshed.json()["refresh_token"], signed_out["refresh_token"]):
        assert (await asyncio.to_thread(server.refresh, refresh_token)).status_code == 400
    tokens = [refreshed.json()["access_token"], signed_out["access_token"]]
    async with asyncio.timeout(100):
        # The workers hear of it one after the other.
        while {(await application.http("GET", "/authors", token)).status_code for token in tokens * 4} != {401}:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert (await bystander.ask(PING))["status_code"] == 0
    # A sign-in that is later than the clocks may differ is another session.
    await asyncio.sleep(3.1)
    again = await application.open((await asyncio.to_thread(server.tokens, name, password="secret"))["access_token"])
    assert (await again.ask(PING))["status_code"] == 0


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("user=nobody-of-that-name&sign_out=true", 404),
        # It has no session to end; its client may sign in again.
        ("user=service-account-starpost-service&sign_out=true", 204),
        ("user=nobody-of-that-name&sign_out=perhaps", 400),
        ("sign_out=true", 400),
        ("user=nobody-of-that-name&sign_out=false", 204),
    ],
)
async def test_what_else_an_administrator_may_ask(
    application: Application, server: IdentityServer, query: str, status: int
) -> None:
    token = await asyncio.to_thread(server.token, "alice")
    answer = await application.http("DELETE", f"/connections?{query}", token)
    assert answer.status_code == status, answer.text
    if status >= 400:
        assert answer.headers["Content-Type"] == "application/problem+json"
    assert (await application.http("DELETE", f"/connections?{query}", server.token("carol"))).status_code == 403
