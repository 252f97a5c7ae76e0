"""Sessions over real sockets: two workers behind one port, a second node, Redis, and the development realm."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis
from websockets.exceptions import WebSocketException

from starpost.testing import Serve
from starpost.testing.issuer import RSA_KEY, Issuer, SigningKey
from starpost.testing.launched import Launched, is_running
from starpost.testing.packet_client import PacketClient, packet_client
from starpost.testing.plain_http import NO_TLS
from starpost_dev.services.ephemeral import ephemeral_valkey
from starpost_dev.services.ports import free_port
from starpost_dev.services.valkey import Valkey
from starpost_dev.testing.realm import CLIENT, IdentityServer, start_development_realm
from tests.framework.auth.test_logout_token import logout_claims
from tests.specimen import REALM_FILE, SPECIMEN

PING, AUTH = -1, -2
ADMIN = {"roles": ["admin"]}
LIMIT = 4
REVOKED = (4401, "session_revoked")


# ---- what the tests share --------------------------------------------------------------------------------------------


async def eventually(look: Callable[[], Awaitable[Any]], is_right: Callable[[Any], bool]) -> Any:
    """Look again until what is found is right; give it back."""
    deadline = time.monotonic() + 100
    while not is_right(found := await look()):
        assert time.monotonic() < deadline, f"still {found!r}"
        await asyncio.sleep(0.05)
    return found


class Nodes:
    """A node of two workers, and another, by its second door; ``open`` connects, and closes at the end of the test."""

    def __init__(self, nodes: list[Launched], admin_token: Callable[[], str]) -> None:
        self.nodes = nodes
        self._admin_token = admin_token
        self.stack = AsyncExitStack()

    async def open(self, token: str | None, *, node: int = 0, **options: Any) -> PacketClient:
        """Connect."""
        return await self.stack.enter_async_context(packet_client(self.nodes[node].port, token, **options))

    async def open_live(self, token: str, *, node: int = 0) -> PacketClient:
        """Connect, and be let in."""
        client = await self.open(token, node=node)
        assert (await client.ask(PING))["status_code"] == 0
        return client

    async def http(self, method: str, path: str, *, node: int = 0, token: str | None = None) -> httpx.Response:
        """One request, as the administrator unless said otherwise; on a connection of its own."""
        headers = {"Authorization": f"Bearer {token or self._admin_token()}"}
        async with httpx.AsyncClient(verify=NO_TLS, timeout=100) as http:
            return await http.request(method, f"http://127.0.0.1:{self.nodes[node].http_port}{path}", headers=headers)

    async def connected(self, user: str, *, node: int = 0) -> list[Any]:
        """The connections of a user, as the administrator sees them."""
        answer = await self.http("GET", "/connections?per_page=100", node=node)
        assert answer.status_code == 200, answer.text
        return [held for held in answer.json()["items"] if held["user"] == user]

    async def until_connected(self, user: str, count: int, *, node: int = 0) -> Any:
        """Wait until the registry shows as many connections of a user."""
        return await eventually(lambda: self.connected(user, node=node), lambda found: len(found) == count)

    async def serving(self, node: int) -> int | None:
        """The process id of the worker that takes the next connection; ``None`` if nobody does."""
        token = self._admin_token()
        try:
            async with packet_client(self.nodes[node].port, None) as client:
                reply = await client.ask(AUTH, {"token": token})
                held = (
                    []
                    if reply["status_code"]
                    else (await self.http("GET", "/connections?per_page=100")).json()["items"]
                )
        except (OSError, httpx.TransportError, WebSocketException):
            return None
        mine = [entry["worker"] for entry in held if entry["connection_id"] == reply["data"]["connection_id"]]
        return int(mine[0].partition("-")[0]) if mine else None

    async def refuse(self, token: str) -> None:
        """Wait until the token is refused, wherever it comes: workers hear of a revocation one after the other."""

        async def look() -> set[int]:
            nodes = (0,) * 8 + (len(self.nodes) - 1,)
            return {(await self.http("GET", "/authors", node=node, token=token)).status_code for node in nodes}

        await eventually(look, lambda found: found == {401})

    async def on_both_workers(self, token: str, user: str) -> list[PacketClient]:
        """Connect to the first node until each of its workers has a connection."""
        clients: list[PacketClient] = []
        while not clients or len({held["worker"] for held in await self.connected(user)}) < 2:
            assert len(clients) < 40, "one worker gets all connections"
            clients.append(await self.open_live(token))
        return clients


def settings(valkey: Valkey, name: str, **changes: str) -> dict[str, str]:
    # One test waits for its end; in the others, no busy machine may be late with a renewal.
    return {"SESSION_LEASE": "5", "NODE_NAME": name, **valkey.endpoint.environment(), **changes}


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    """A Redis of one's own, to be killed."""
    with ephemeral_valkey() as running:
        yield running


@pytest.fixture(scope="module")
def limited(serve: Serve, valkey: Valkey) -> list[Launched]:
    limit = {"WS_MAX_CONNECTIONS_PER_USER": str(LIMIT)}
    return [
        serve(target=SPECIMEN, **settings(valkey, "one", WORKERS="2", **limit)),
        serve(target=SPECIMEN, **settings(valkey, "two", WS_PORT=str(free_port()), **limit)).at_second_door(),
    ]


@pytest.fixture
async def nodes(limited: list[Launched], issuer: Issuer) -> AsyncIterator[Nodes]:
    """Nodes whose tokens the test signs."""
    made = Nodes(limited, lambda: token_of(issuer, "root", realm_access=ADMIN))
    async with made.stack:
        yield made


def token_of(issuer: Issuer, user: str, **members: Any) -> str:
    return issuer.token(**{"sub": user, "preferred_username": user, "sid": f"session of {user}"} | members)


@pytest.fixture(scope="module")
def realm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IdentityServer]:
    """A realm of one's own: where it sends logout tokens is changed."""
    server = start_development_realm(tmp_path_factory.mktemp("realm"), REALM_FILE)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def of_realm(serve: Serve, valkey: Valkey, realm: IdentityServer) -> list[Launched]:
    common = {"KEYCLOAK_BASE_URL": realm.base_url, "REDIS_PREFIX": "realm", "WS_MAX_CONNECTIONS_PER_USER": "100"}
    started = [
        serve(target=SPECIMEN, **settings(valkey, "one", WORKERS="2", **common)),
        serve(target=SPECIMEN, **settings(valkey, "two", **common)),
    ]
    realm.set_backchannel_logout_url(f"http://127.0.0.1:{started[1].port}/auth/backchannel-logout")
    return started


@pytest.fixture
async def realm_nodes(of_realm: list[Launched], realm: IdentityServer) -> AsyncIterator[Nodes]:
    """Nodes whose tokens are the development realm's."""
    made = Nodes(of_realm, lambda: realm.token("alice"))
    async with made.stack:
        yield made


# ---- the realm logs out ----------------------------------------------------------------------------------------------


async def test_a_logout_at_the_realm_ends_that_session_everywhere(realm_nodes: Nodes, realm: IdentityServer) -> None:
    ending, staying = realm.tokens("carol"), realm.tokens("carol")
    old, other = ending["access_token"], staying["access_token"]
    ended = await realm_nodes.on_both_workers(old, "carol")
    ended += [await realm_nodes.open_live(old, node=1) for _ in range(3)]
    by_packet = await realm_nodes.open(None)
    assert (await by_packet.ask(AUTH, {"token": old}))["status_code"] == 0
    replaced = await realm_nodes.open_live(other)
    assert (await replaced.ask(AUTH, {"token": old}))["status_code"] == 0
    kept = [await realm_nodes.open_live(other, node=node) for node in (0, 0, 1)]
    moved = await realm_nodes.open_live(old)
    assert (await moved.ask(AUTH, {"token": other}))["status_code"] == 0

    realm.post("logout", client_id=CLIENT, refresh_token=ending["refresh_token"]).raise_for_status()

    for client in [*ended, by_packet, replaced]:
        code, closing = await client.closed()
        assert (code, closing["reason"], closing["reconnect"]) == (*REVOKED, True)
    for client in [*kept, moved]:
        assert (await client.ask(PING))["status_code"] == 0, "another session of hers"
    for node in (0, 0, 0, 0, 1):
        refused = await realm_nodes.http("GET", "/authors", node=node, token=old)
        assert (refused.status_code, refused.json()["code"]) == (401, "invalid_token")
        assert refused.headers["WWW-Authenticate"].startswith("Bearer error=")
        code, closing = await (await realm_nodes.open(old, node=node)).closed()
        assert (code, closing["reason"]) == (4401, "invalid_token")
        assert (await realm_nodes.http("GET", "/authors", node=node, token=other)).status_code == 200


async def test_an_administrator_of_the_realm_ends_all_sessions_of_a_user(
    realm_nodes: Nodes, realm: IdentityServer
) -> None:
    tokens = [realm.token("erin") for _ in range(2)]
    clients = [await realm_nodes.open_live(token, node=node) for token in tokens for node in (0, 1)]
    admin = realm.admin()

    admin.user_logout(str(admin.get_user_id("erin")))

    for client in clients:
        code, closing = await client.closed()
        assert (code, closing["reason"]) == REVOKED
    again = await realm_nodes.open(realm.token("erin"))
    assert (await again.ask(PING))["status_code"] == 0, "she may sign in again"


async def test_a_worker_that_starts_later_knows(
    realm_nodes: Nodes, realm: IdentityServer, serve: Serve, valkey: Valkey
) -> None:
    tokens = realm.tokens("bob")
    realm.post("logout", client_id=CLIENT, refresh_token=tokens["refresh_token"]).raise_for_status()
    common = {"KEYCLOAK_BASE_URL": realm.base_url, "REDIS_PREFIX": "realm"}
    late = await asyncio.to_thread(lambda: serve(target=SPECIMEN, **settings(valkey, "late", **common)))
    await Nodes([late], lambda: "nobody").refuse(tokens["access_token"])


async def post_logout(nodes: Nodes, token: str, *, node: int = 0) -> httpx.Response:
    url = f"http://127.0.0.1:{nodes.nodes[node].http_port}/auth/backchannel-logout"
    async with httpx.AsyncClient(verify=NO_TLS, timeout=100) as http:
        return await http.post(url, data={"logout_token": token})


def logout_token_of(issuer: Issuer, key: SigningKey = RSA_KEY, **members: Any) -> str:
    now = int(time.time())
    return key.sign(logout_claims(iss=issuer.url, iat=now, exp=now + 120, **members))


async def test_a_logout_token_counts_once_on_all_nodes(nodes: Nodes, issuer: Issuer) -> None:
    client = await nodes.open_live(token_of(issuer, "paul", sid="of paul"), node=1)
    logout = logout_token_of(issuer, sid="of paul")

    done = await post_logout(nodes, logout)

    assert (done.status_code, done.content, done.headers["Cache-Control"]) == (200, b"", "no-store")
    assert await client.closed() == (
        4401,
        {"code": 4401, "reason": "session_revoked", "reconnect": True, "after_ms": 0},
    )
    for node in (0, 0, 1):
        again = await post_logout(nodes, logout, node=node)
        assert (again.status_code, again.json()["error"]) == (400, "invalid_request")
        assert again.headers["Cache-Control"] == "no-store"


async def test_a_forged_logout_token_closes_nobody(nodes: Nodes, issuer: Issuer) -> None:
    client = await nodes.open_live(token_of(issuer, "pia", sid="of pia"))
    forged = logout_token_of(issuer, SigningKey(kid=RSA_KEY.kid), sid="of pia")
    assert (await post_logout(nodes, forged)).status_code == 400
    assert (await post_logout(nodes, issuer.token(sid="of pia"))).status_code == 400
    assert (await client.ask(PING))["status_code"] == 0


# ---- the routes of administrators ------------------------------------------------------------------------------------


async def test_who_is_connected_where(nodes: Nodes, issuer: Issuer) -> None:
    expires_at = int(time.time()) + 200
    token = token_of(issuer, "ulla", exp=expires_at)
    await nodes.open_live(token)
    second = await nodes.open_live(token, node=1)

    found = await nodes.until_connected("ulla", 2, node=1)

    assert {held["node"] for held in found} == {"one", "two"}
    assert len({held["worker"] for held in found}) == 2
    assert {held["session_id"] for held in found} == {"session of ulla"}
    assert {held["user_id"] for held in found} == {"ulla"}
    for held in found:
        assert abs(time.time() - _seconds(held["since"])) < 60
        assert _seconds(held["expires_at"]) == expires_at
    later = token_of(issuer, "ulla", exp=expires_at + 50, sid="another session")
    replaced = (await second.ask(AUTH, {"token": later}))["data"]["connection_id"]

    async def look() -> Any:
        return next(held for held in await nodes.connected("ulla") if held["connection_id"] == replaced)

    held = await eventually(look, lambda held: bool(held["session_id"] == "another session"))
    assert _seconds(held["expires_at"]) == expires_at + 50


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


async def test_the_list_has_pages(nodes: Nodes, issuer: Issuer) -> None:
    for user in ("vera-1", "vera-2", "vera-3"):
        await nodes.open_live(token_of(issuer, user))

    async def look() -> list[str]:
        held = (await nodes.http("GET", "/connections?per_page=100")).json()["items"]
        return [each["connection_id"] for each in held]

    # Those of the tests before may still be leaving.
    everybody = await eventually(look, lambda found: len(found) == 3)
    total = len(everybody)
    pages = [
        (await nodes.http("GET", f"/connections?per_page=2&page={n}")).json() for n in range(1, -(-total // 2) + 1)
    ]
    assert [held["connection_id"] for page in pages for held in page["items"]] == everybody
    assert pages[0]["meta"] == {"page": 1, "per_page": 2, "total": total, "pages": -(-total // 2)}
    assert (await nodes.http("GET", "/connections?page=1000")).json()["items"] == []


async def test_a_renamed_user_is_closed_under_every_name(nodes: Nodes, issuer: Issuer) -> None:
    """The registry is kept by ``sub``: a connection whose token still has the old name is the same user's."""
    clients = [await nodes.open_live(token_of(issuer, "olga"), node=node) for node in (0, 1)]
    renamed = token_of(issuer, "olga", preferred_username="olga-new")
    assert (await clients[0].ask(AUTH, {"token": renamed}))["status_code"] == 0
    await nodes.until_connected("olga-new", 1)
    assert {held["user_id"] for held in await nodes.connected("olga")} == {"olga"}
    assert (await nodes.http("DELETE", "/connections?user=Olga-New")).status_code == 204
    for client in clients:
        code, closing = await client.closed()
        assert (code, closing["reason"]) == REVOKED
    await nodes.refuse(token_of(issuer, "olga"))


async def test_one_connection_is_closed_wherever_it_is(nodes: Nodes, issuer: Issuer) -> None:
    token = token_of(issuer, "walt")
    clients = [await nodes.open(token, node=node) for node in (0, 0, 1)]
    ids = [(await client.ask(AUTH, {"token": token}))["data"]["connection_id"] for client in clients]
    for index in (2, 0):
        answer = await nodes.http("DELETE", f"/connections/{ids[index]}", node=0)
        assert (answer.status_code, answer.content) == (204, b"")
        code, closing = await clients[index].closed()
        assert (code, closing["reason"]) == REVOKED
    assert (await clients[1].ask(PING))["status_code"] == 0
    await nodes.until_connected("walt", 1)
    assert (await nodes.http("DELETE", f"/connections/{ids[0]}")).status_code == 404
    again = await nodes.open(token)
    assert (await again.ask(PING))["status_code"] == 0, "its token stays good"


async def test_a_user_is_put_out_and_kept_out(nodes: Nodes, issuer: Issuer) -> None:
    old = token_of(issuer, "Xena")
    clients = [await nodes.open_live(old, node=node) for node in (0, 0, 1)]
    bystander = await nodes.open_live(token_of(issuer, "yann"))

    assert (await nodes.http("DELETE", "/connections?user=xena", node=1)).status_code == 204
    put_out_at = time.time()

    for client in clients:
        code, closing = await client.closed()
        assert (code, closing["reason"]) == REVOKED
    await nodes.refuse(old)
    for node in (0, 0, 0, 0, 1):
        assert (await (await nodes.open(old, node=node)).closed())[0] == 4401
    assert (await bystander.ask(PING))["status_code"] == 0
    # A token that is issued later is good. Wait for the clock, in whole seconds, to pass the leeway of KEYCLOAK_LEEWAY.
    await asyncio.sleep(max(0.0, put_out_at + 2 + 1.1 - time.time()))
    new = await nodes.open(token_of(issuer, "Xena"))
    assert (await new.ask(PING))["status_code"] == 0


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/connections?page=0", 400),
        ("GET", "/connections?page=x", 400),
        ("GET", "/connections?per_page=101", 400),
        ("GET", "/connections?page=99999999999999999999", 400),
        ("DELETE", "/connections", 400),
        ("DELETE", "/connections?user=", 400),
        ("DELETE", f"/connections?user={'x' * 256}", 400),
        ("DELETE", "/connections?user=%ED%A0%80%00", 204),
        ("DELETE", "/connections/nothing", 404),
        ("DELETE", "/connections/%00%ff*", 404),
        ("DELETE", f"/connections/{'x' * 4000}", 404),
        ("PUT", "/connections", 405),
    ],
)
async def test_hostile_parameters(nodes: Nodes, method: str, path: str, status: int) -> None:
    answer = await nodes.http(method, path)
    assert answer.status_code == status, answer.text
    if status >= 400:
        assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("DELETE", "?user=bob"), ("DELETE", "/nothing")])
async def test_administrators_only(nodes: Nodes, issuer: Issuer, method: str, path: str) -> None:
    token = token_of(issuer, "bob", resource_access=None)
    assert (await nodes.http(method, f"/connections{path}", token=token)).status_code == 403


# ---- the limit -------------------------------------------------------------------------------------------------------


async def test_the_limit_holds_across_workers_and_nodes(nodes: Nodes, issuer: Issuer) -> None:
    """Of many that come at once, exactly as many as may get in."""
    token = token_of(issuer, "zoe")
    came = await asyncio.gather(*(nodes.open(token, node=n % 2) for n in range(3 * LIMIT)))

    async def is_in(client: PacketClient) -> bool:
        try:
            return bool((await client.ask(PING))["status_code"] == 0)
        except Exception:  # noqa: BLE001 - however it ends, the verdict below says why
            return False

    let_in = await asyncio.gather(*map(is_in, came))
    assert sum(let_in) == LIMIT
    for client, is_welcome in zip(came, let_in, strict=True):
        if not is_welcome:
            assert client.socket.close_code == 4429
    by_packet = await nodes.open(None, node=1)
    assert (await by_packet.ask(AUTH, {"token": token}))["data"]["code"] == "rate_limited"
    code, closing = await by_packet.closed()
    assert (code, closing["reason"], closing["reconnect"]) == (4429, "too_many_connections", True)

    leaving = next(client for client, is_welcome in zip(came, let_in, strict=True) if is_welcome)
    await leaving.socket.close()
    await nodes.until_connected("zoe", LIMIT - 1)
    assert (await (await nodes.open(token, node=1)).ask(PING))["status_code"] == 0


async def test_a_second_tab_neither_replaces_nor_unregisters_the_first(nodes: Nodes, issuer: Issuer) -> None:
    token = token_of(issuer, "tabby")
    first = await nodes.open_live(token)
    second = await nodes.open_live(token)
    assert len(await nodes.until_connected("tabby", 2)) == 2
    await second.socket.close()
    await nodes.until_connected("tabby", 1)
    assert (await first.ask(PING))["status_code"] == 0
    third = await nodes.open_live(token)
    await first.socket.close()
    await nodes.until_connected("tabby", 1)
    assert (await third.ask(PING))["status_code"] == 0


# ---- parts fail ------------------------------------------------------------------------------------------------------


async def test_entries_of_a_killed_worker_disappear(nodes: Nodes, issuer: Issuer) -> None:
    token = token_of(issuer, "kim")
    clients = [await nodes.open_live(token) for _ in range(3)]
    elsewhere = await nodes.open_live(token, node=1)
    held = await nodes.until_connected("kim", LIMIT)
    assert (await (await nodes.open(token)).closed())[0] == 4429
    workers = {entry["worker"] for entry in held if entry["node"] == "one"}
    pids = {int(worker.partition("-")[0]) for worker in workers}
    assert pids <= set(nodes.nodes[0].workers())

    for pid in pids:
        os.kill(pid, signal.SIGKILL)

    for client in clients:
        assert (await client.closed())[0] == 1006
    assert [entry["node"] for entry in await nodes.until_connected("kim", 1, node=1)] == ["two"]
    assert (await elsewhere.ask(PING))["status_code"] == 0
    again = [await nodes.open_live(token, node=1) for _ in range(LIMIT - 1)]
    assert len(again) == LIMIT - 1
    assert not any(is_running(pid) for pid in pids)
    await ready(nodes)  # replaced


async def test_while_redis_is_away_nobody_is_let_in_and_nobody_put_out(
    nodes: Nodes, issuer: Issuer, valkey: Valkey
) -> None:
    await ready(nodes)
    token, other = token_of(issuer, "rhea"), token_of(issuer, "otto")
    inside = [await nodes.open_live(token, node=n % 2) for n in range(LIMIT)]
    staying, leaving = inside[:2], inside[2:]
    revoked = token_of(issuer, "ruth")
    assert (await nodes.http("DELETE", "/connections?user=ruth")).status_code == 204
    await nodes.refuse(revoked)
    packets = 0

    async def work() -> None:
        nonlocal packets
        while True:
            for client in staying:
                assert (await client.ask(PING))["status_code"] == 0
                packets += 1
            await asyncio.sleep(0.01)

    working = asyncio.create_task(work())
    await asyncio.to_thread(valkey.kill)
    for node in (0, 0, 1):
        code, closing = await (await nodes.open(other, node=node)).closed()
        assert (code, closing["reason"], closing["reconnect"]) == (1013, "unavailable", True)
        by_packet = await nodes.open(None, node=node)
        assert (await by_packet.ask(AUTH, {"token": other}))["data"]["code"] == "unavailable"
        assert (await by_packet.closed())[0] == 1013
    assert (await nodes.http("GET", "/connections")).status_code == 503
    assert (await nodes.http("GET", "/authors", token=revoked)).status_code == 401, "what was known still holds"
    for client in leaving:
        await client.socket.close()
    logout = logout_token_of(issuer, sid="of olga")
    assert (await post_logout(nodes, logout)).status_code == 503
    later = token_of(issuer, "otto")
    assert (await nodes.http("DELETE", "/connections?user=otto", node=1)).status_code == 503
    assert (await nodes.http("GET", "/authors", node=1, token=later)).status_code == 401, "known at once where it came"
    not_ready = await nodes.http("GET", "/health/ready")
    assert not_ready.status_code == 503
    before = packets
    await asyncio.to_thread(valkey.start)

    await ready(nodes)
    assert (await nodes.until_connected("rhea", 2))[0]["user"] == "rhea"
    await nodes.refuse(later)  # told when it could be
    assert (await post_logout(nodes, logout, node=1)).status_code == 200, "it may be sent again"
    inside = [await nodes.open_live(token, node=n % 2) for n in range(2)]
    assert (await (await nodes.open(token)).closed())[0] == 4429
    working.cancel()
    await asyncio.wait([working])
    assert working.cancelled(), "packets went on all the time"
    assert packets > before


async def ready(nodes: Nodes) -> None:
    """Wait until every worker of every node takes connections, those that are still being replaced too."""
    for node, launched in enumerate(nodes.nodes):
        seen: set[int] = set()

        async def answers(node: int = node, launched: Launched = launched, seen: set[int] = seen) -> bool:
            try:
                # Several times in a row: each worker answers for itself.
                found = [(await nodes.http("GET", "/health/ready", node=node)).status_code for _ in range(5)]
            except httpx.TransportError:
                return False
            if set(found) == {200} and (pid := await nodes.serving(node)) is not None:
                seen.add(pid)
            workers = launched.workers()
            return len(workers) == int(launched.environ.get("WORKERS", "1")) and seen >= {*workers}

        await eventually(answers, bool)


async def test_a_worker_that_starts_without_redis_judges_nobody(serve: Serve, issuer: Issuer) -> None:
    """Whom it might have to refuse it does not know; when Redis comes it does."""
    with ephemeral_valkey() as late:
        await asyncio.to_thread(late.kill)
        server = await asyncio.to_thread(lambda: serve(target=SPECIMEN, **settings(late, "early")))
        made = Nodes([server, server], lambda: token_of(issuer, "root", realm_access=ADMIN))
        async with made.stack:
            assert (await made.http("GET", "/authors")).status_code == 503
            code, closing = await (await made.open(token_of(issuer, "inga"))).closed()
            assert (code, closing["reason"]) == (1013, "unavailable")
            await asyncio.to_thread(late.start)
            await ready(made)
            await made.open_live(token_of(issuer, "inga"))


async def test_redis_that_lost_its_data_gets_it_back(nodes: Nodes, issuer: Issuer, valkey: Valkey) -> None:
    await ready(nodes)
    token = token_of(issuer, "lea")
    clients = [await nodes.open_live(token, node=n % 2) for n in range(LIMIT)]
    refused = token_of(issuer, "leo")
    assert (await nodes.http("DELETE", "/connections?user=leo")).status_code == 204
    await nodes.refuse(refused)
    async with redis_of(valkey, 1) as redis:
        await redis.flushdb()
        assert await nodes.until_connected("lea", LIMIT)
        assert (await (await nodes.open(token)).closed())[0] == 4429
        for client in clients:
            assert (await client.ask(PING))["status_code"] == 0
    assert (await nodes.http("GET", "/authors", token=refused)).status_code == 401


async def test_unrelated_keys_that_expire_delay_no_close(nodes: Nodes, issuer: Issuer, valkey: Valkey) -> None:
    token = token_of(issuer, "uma")
    clients = [await nodes.open_live(token, node=n % 2) for n in range(LIMIT)]
    async with redis_of(valkey, 1) as redis:
        for n in range(60):
            await redis.set(f"unrelated:{n}", "x", px=200 + n)
        await asyncio.sleep(0.2)
        assert (await nodes.http("DELETE", "/connections?user=uma")).status_code == 204
        for client in clients:
            code, closing = await client.closed()
            assert (code, closing["reason"]) == REVOKED
        await nodes.until_connected("uma", 0)


async def test_applications_that_share_one_redis_do_not_count_each_other(
    nodes: Nodes, realm_nodes: Nodes, realm: IdentityServer, issuer: Issuer
) -> None:
    token = realm.token("bob")
    for _ in range(LIMIT):
        await realm_nodes.open_live(token)
    assert len(await realm_nodes.until_connected("bob", LIMIT)) == LIMIT
    assert await nodes.connected("bob") == []
    subject = (await realm_nodes.connected("bob"))[0]["user_id"]
    await nodes.open_live(token_of(issuer, "bob", sub=subject))


def redis_of(valkey: Valkey, db: int) -> Any:
    endpoint = valkey.endpoint
    return Redis(host=endpoint.host, port=endpoint.port, password=endpoint.password, db=db)
