"""The realm's keys change under load, and the realm goes away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from starpost.testing import Serve
from starpost.testing.issuer import Issuer, SigningKey
from starpost_dev.testing.realm import IdentityServer
from tests.e2e.keycloak.conftest import Application, settings_of
from tests.keycloak.conftest import header_of
from tests.specimen import SPECIMEN

PING, AUTH, GET_AUTHORS = -1, -2, 1
ROTATIONS = 3
USERS = ("alice", "carol", "bob")


class Load:
    """Users who sign in all the time and use each new token at once, over HTTP and on sockets old and new."""

    def __init__(self, application: Application, server: IdentityServer) -> None:
        self.application = application
        self._server = server
        self.used: dict[str, set[str]] = {"http": set(), "handshake": set(), "auth": set(), "open socket": set()}
        self.faults: list[Any] = []
        # Not a cancellation: Python 3.11's `wait_for` can lose one.
        self.is_over = False
        self.refused_garbage = 0

    async def _token(self, user: str) -> tuple[str, str]:
        token = await asyncio.to_thread(self._server.token, user)
        return token, header_of(token)["kid"]

    async def requests(self, user: str) -> None:
        while not self.is_over:
            token, kid = await self._token(user)
            answers = await asyncio.gather(*(self.application.http("GET", "/authors", token) for _ in range(4)))
            self._note("http", kid, [answer.status_code for answer in answers], 200)

    async def handshakes(self, user: str) -> None:
        while not self.is_over:
            token, kid = await self._token(user)
            client = await self.application.open(token)
            self._note("handshake", kid, [(await client.ask(GET_AUTHORS))["status_code"]], 0)
            await client.socket.close()

    async def replaced_tokens(self, user: str) -> None:
        client = await self.application.open((await self._token(user))[0])
        while not self.is_over:
            token, kid = await self._token(user)
            self._note("auth", kid, [(await client.ask(AUTH, {"token": token}))["status_code"]], 0)

    async def open_socket(self, user: str) -> None:
        """One that keeps the token of before the rotations."""
        token, kid = await self._token(user)
        client = await self.application.open(token)
        while not self.is_over:
            answer = await self.application.http("GET", "/authors", token)
            replies = [(await client.ask(GET_AUTHORS))["status_code"] for _ in range(5)]
            self._note("open socket", kid, [answer.status_code - 200, *replies], 0)

    async def garbage(self, server: IdentityServer, issuer: Issuer) -> None:
        """Tokens of invented keys, which must not keep the good ones from being fetched."""
        while not self.is_over:
            token = issuer.token(SigningKey("ES256"), iss=server.issuer)
            answer = await self.application.http("GET", "/authors", token)
            if answer.status_code == 200:
                self.faults.append("garbage was let in")
            self.refused_garbage += answer.status_code == 401
            await asyncio.sleep(0.05)

    def _note(self, way: str, kid: str, found: list[int], good: int) -> None:
        self.used[way].add(kid)
        self.faults += [(way, kid, status) for status in found if status != good]


async def until_used(load: Load, kid: str, running: list[asyncio.Task[None]]) -> None:
    """Wait until every way has used a token of this key."""
    async with asyncio.timeout(100):
        while not all(kid in load.used[way] for way in ("http", "handshake", "auth")):
            assert not [task for task in running if task.done()], "it ends when the test does"
            await asyncio.sleep(0.05)


@pytest.mark.timeout(300)
async def test_keys_rotate_under_load(application: Application, server: IdentityServer, issuer: Issuer) -> None:
    load = Load(application, server)
    first = header_of(server.token("alice"))["kid"]
    work = [way(user) for user in USERS for way in (load.requests, load.handshakes, load.replaced_tokens)]
    work += [load.open_socket("bob"), load.garbage(server, issuer)]
    running = [asyncio.create_task(way) for way in work]
    try:
        await until_used(load, first, running)
        for _ in range(ROTATIONS):
            kid = await asyncio.to_thread(server.rotate_keys)
            await until_used(load, kid, running)
    finally:
        load.is_over = True
        await asyncio.gather(*running)

    assert load.faults == []
    assert len(load.used["http"] & load.used["handshake"] & load.used["auth"]) >= ROTATIONS + 1
    assert load.used["open socket"] == {first}
    assert load.refused_garbage


async def test_what_a_removed_key_signed_is_refused_seen_before_or_not(
    serve: Serve, server: IdentityServer, stack: AsyncExitStack
) -> None:
    settings = settings_of(server, "refreshing") | {"WORKERS": "2", "KEYCLOAK_JWKS_REFRESH": "0.3"}
    launched = await asyncio.to_thread(lambda: serve(target=SPECIMEN, **settings))
    application = Application(launched, stack)
    seen, unseen = [await asyncio.to_thread(server.token, "bob") for _ in range(2)]
    for _ in range(8):
        assert (await application.http("GET", "/authors", seen)).status_code == 200
    sockets = [await application.open(seen) for _ in range(6)]
    for socket in sockets:
        assert (await socket.ask(GET_AUTHORS))["status_code"] == 0
    renewed = await application.open(seen)
    assert (await renewed.ask(GET_AUTHORS))["status_code"] == 0
    kid = await asyncio.to_thread(server.rotate_keys)
    token = await asyncio.to_thread(server.token, "bob")
    assert (await renewed.ask(AUTH, {"token": token}))["status_code"] == 0

    await asyncio.to_thread(server.remove_keys_but, kid)

    for socket in sockets:
        code, closing = await socket.closed()
        assert (code, closing["reason"], closing["reconnect"]) == (4401, "invalid_token", True)
    async with asyncio.timeout(100):
        # Each worker learns of it by itself.
        while {(await application.http("GET", "/authors", seen)).status_code for _ in range(8)} != {401}:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    assert (await application.http("GET", "/authors", unseen)).status_code == 401
    assert (await (await application.open(seen)).closed())[0] == 4401
    assert (await renewed.ask(GET_AUTHORS))["status_code"] == 0, "its token was replaced"
    assert (await application.http("GET", "/authors", token)).status_code == 200


@pytest.mark.timeout(400)
async def test_keycloak_is_away_and_comes_back(
    serve: Serve, server: IdentityServer, stack: AsyncExitStack, new_user: Callable[..., str]
) -> None:
    launched = await asyncio.to_thread(lambda: serve(target=SPECIMEN, **settings_of(server, "outage")))
    application = Application(launched, stack)
    seen, unseen = [await asyncio.to_thread(server.token, user) for user in ("alice", "bob")]
    name = await asyncio.to_thread(new_user)
    to_be_put_out = await asyncio.to_thread(server.token, name, password="secret")
    assert (await application.http("GET", "/authors", seen)).status_code == 200
    client = await application.open(seen)
    assert (await client.ask(GET_AUTHORS))["status_code"] == 0
    rotated = await asyncio.to_thread(server.rotate_keys)
    of_new_key = await asyncio.to_thread(server.token, "carol")
    assert header_of(of_new_key)["kid"] == rotated

    await asyncio.to_thread(server.stop)
    try:
        for token in (seen, unseen):
            assert (await application.http("GET", "/authors", token)).status_code == 200, "a known key"
            assert (await (await application.open(token)).ask(GET_AUTHORS))["status_code"] == 0
        for _ in range(3):
            answer = await application.http("GET", "/authors", of_new_key)
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
            assert int(answer.headers["Retry-After"]) >= 0
            code, closing = await (await application.open(of_new_key)).closed()
            assert (code, closing["reason"], closing["reconnect"]) == (1013, "unavailable", True)
        by_packet = await application.open()
        assert (await by_packet.ask(AUTH, {"token": of_new_key}))["data"]["code"] == "unavailable"
        forged = await application.http("GET", "/authors", seen[:-8] + "AAAAAAAA")
        assert forged.status_code == 401, "a known key, a bad signature: that needs nobody"
        assert (await client.ask(GET_AUTHORS))["status_code"] == 0, "an open socket"
        signed_in = await application.open(to_be_put_out)
        assert (await signed_in.ask(PING))["status_code"] == 0
        answer = await application.http("DELETE", f"/connections?user={name}&sign_out=true", seen)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert "tokens refused" in answer.json()["detail"]
        assert (await signed_in.closed())[0] == 4401, "what could be done was done"
        assert (await application.http("GET", "/authors", to_be_put_out)).status_code == 401
    finally:
        await asyncio.to_thread(server.start)

    async with asyncio.timeout(100):
        while (answer := await application.http("GET", "/authors", of_new_key)).status_code == 503:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    assert answer.status_code == 200
    assert (await (await application.open(of_new_key)).ask(GET_AUTHORS))["status_code"] == 0
    assert (
        await application.http("GET", "/authors", await asyncio.to_thread(server.token, "carol"))
    ).status_code == 200
    assert (await client.ask(GET_AUTHORS))["status_code"] == 0, "the same socket"
