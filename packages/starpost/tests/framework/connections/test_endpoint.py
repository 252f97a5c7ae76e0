"""From the handshake to a connection, over real sockets (section 1 of the contract)."""

import asyncio
import json
import time
from typing import Any
from urllib.parse import quote

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from starpost.testing import Serve
from starpost.testing.issuer import OTHER_RSA_KEY, Issuer
from starpost.testing.launched import Launched
from starpost.testing.packet_client import PATIENCE, packet_client
from starpost_dev.services.ports import free_port
from tests.framework.probe import ProbeID

PING, AUTH = -1, -2


@pytest.fixture(params=["probe", "without_fast_paths"])
def served(request: pytest.FixtureRequest) -> Launched:
    """The server with the fast paths, and without."""
    server: Launched = request.getfixturevalue(request.param)
    return server


def ways(token: str) -> dict[str, dict[str, Any]]:
    """The ways to bring a token with the handshake."""
    return {
        "header": {"additional_headers": {"Authorization": f"Bearer {token}"}},
        "subprotocol": {"subprotocols": ["json", f"bearer.{token}"]},
        "query": {"path": f"/web?Authorization={quote(f'Bearer {token}')}"},
    }


@pytest.mark.parametrize("way", ["header", "subprotocol", "query"])
async def test_token_in_the_handshake(served: Launched, issuer: Issuer, way: str) -> None:
    async with packet_client(served.port, **ways(issuer.token())[way]) as client:
        reply = await client.ask(ProbeID.WHO)
        assert reply["status_code"] == 0
        assert reply["data"]["user"] == "alice"
        assert not client.pushed, "nothing is sent before the first reply"
        assert client.socket.subprotocol == ("json" if way == "subprotocol" else None)


@pytest.mark.parametrize("way", ["header", "subprotocol", "query"])
async def test_bad_token_in_the_handshake_is_accepted_then_closed(served: Launched, issuer: Issuer, way: str) -> None:
    async with packet_client(served.port, **ways(issuer.token(OTHER_RSA_KEY))[way]) as client:
        code, closing = await client.closed()
    assert code == 4401
    assert closing["code"] == 4401
    assert closing["reason"] == "invalid_token"
    assert closing["reconnect"] is True


@pytest.mark.parametrize("way", ["header", "subprotocol", "query"])
async def test_an_open_socket_keeps_nothing_of_its_handshake(either: Launched, issuer: Issuer, way: str) -> None:
    token = issuer.token()
    async with packet_client(either.port, **ways(token)[way]) as client:
        _, port = client.socket.local_address[:2]

        async def found(text: str) -> Any:
            return (await client.ask(ProbeID.FIND_IN_SCOPE, {"port": port, "text": text}))["data"]

        assert "path" in await found("/web"), "or the probe does not see the scope"
        assert await found(token.rpartition(".")[2]) == []


async def test_expired_token_is_told_apart(served: Launched, issuer: Issuer) -> None:
    async with packet_client(
        served.port, issuer.token(iat=int(time.time()) - 360, exp=int(time.time()) - 60)
    ) as client:
        assert (await client.closed())[1]["reason"] == "token_expired"


async def test_msgpack_beside_a_bearer_subprotocol(served: Launched, issuer: Issuer) -> None:
    offered = [f"bearer.{issuer.token()}", "msgpack"]
    async with packet_client(served.port, codec="msgpack", subprotocols=offered) as client:
        assert client.socket.subprotocol == "msgpack"
        assert (await client.ask(ProbeID.ECHO, {"name": "ä"}))["data"]["name"] == "ä"


async def test_first_packet_auth(served: Launched, issuer: Issuer) -> None:
    async with packet_client(served.port) as client:
        early = await client.ask(ProbeID.WHO)
        assert (early["status_code"], early["data"]["code"]) == (9, "invalid_token")
        reply = await client.ask(AUTH, {"token": issuer.token(exp=int(time.time()) + 200)})
        assert reply["status_code"] == 0
        assert reply["data"]["user"] == "alice"
        assert reply["data"]["roles"] == ["admin", "author-reader", "offline_access"]
        assert reply["data"]["connection_id"]
        assert reply["data"]["expires_at"].endswith("Z")
        assert (await client.ask(ProbeID.WHO))["status_code"] == 0


async def test_nothing_is_told_to_who_is_unknown(served: Launched) -> None:
    """Unknown, forbidden and malformed packets look alike before AUTH."""
    async with packet_client(served.port) as client:
        for pkg_id, data in [(9999, None), (ProbeID.ADMIN_ONLY, None), (ProbeID.ECHO, {"name": 3}), (PING, {})]:
            assert (await client.ask(pkg_id, data))["data"]["code"] == "invalid_token"


async def test_bad_first_auth_is_answered_then_closed(served: Launched, issuer: Issuer) -> None:
    async with packet_client(served.port) as client:
        reply = await client.ask(AUTH, {"token": issuer.token(OTHER_RSA_KEY)})
        assert (reply["status_code"], reply["data"]["code"]) == (9, "invalid_token")
        assert (await client.closed())[0] == 4401


async def test_no_auth_in_time(hasty: Launched) -> None:
    async with packet_client(hasty.port) as client:
        code, closing = await client.closed()
    assert (code, closing["reason"], closing["reconnect"]) == (4408, "auth_timeout", True)


async def test_query_token_can_be_turned_off(hasty: Launched, issuer: Issuer) -> None:
    async with packet_client(hasty.port, **ways(issuer.token())["query"]) as client:
        assert (await client.closed())[0] == 4408


async def test_token_of_the_query_is_not_in_the_log(served: Launched, issuer: Issuer) -> None:
    token = issuer.token()
    async with packet_client(served.port, **ways(token)["query"]) as client:
        await client.ask(ProbeID.CRASH, {"name": "a"})
    assert served.lines("packet_failed")
    assert token.rpartition(".")[2] not in served.output.read_text()


@pytest.mark.parametrize(("origin", "is_let_in"), [("http://127.0.0.1:{port}", True), ("https://evil.example", False)])
async def test_origin(served: Launched, issuer: Issuer, origin: str, is_let_in: bool) -> None:
    origin = origin.format(port=served.port)
    if is_let_in:
        async with packet_client(served.port, issuer.token(), origin=origin) as client:
            assert (await client.ask(ProbeID.WHO))["status_code"] == 0
        return
    with pytest.raises(InvalidStatus) as refused:
        async with packet_client(served.port, issuer.token(), origin=origin):
            pass
    assert refused.value.response.status_code == 403


async def test_listed_origin(narrow: Launched, issuer: Issuer) -> None:
    async with packet_client(narrow.port, issuer.token(), origin="https://other.example") as client:
        assert (await client.ask(ProbeID.WHO))["status_code"] == 0


async def test_keycloak_away(serve: Serve) -> None:
    """Unknown keys are nobody's fault: come back later."""
    away = Issuer()
    server = serve(KEYCLOAK_BASE_URL=away.base_url)
    token = away.token(OTHER_RSA_KEY)
    away.stop()
    async with packet_client(server.port, token) as client:
        code, closing = await client.closed()
    assert (code, closing["reason"], closing["reconnect"]) == (1013, "unavailable", True)
    assert closing["after_ms"] >= 1000
    async with packet_client(server.port) as client:
        reply = await client.ask(AUTH, {"token": token})
        assert (reply["status_code"], reply["data"]["code"], reply["data"]["retryable"]) == (7, "unavailable", True)
        again = await client.ask(AUTH, {"token": away.token()})
        assert again["status_code"] == 0, "the connection stayed open, and the known key goes on working"


async def test_too_many_connections_of_a_user(narrow: Launched, issuer: Issuer) -> None:
    server = narrow
    bob, carol = issuer.token(sub="bob"), issuer.token(sub="carol")
    async with packet_client(server.port, bob) as first, packet_client(server.port, bob) as second:
        await first.ask(ProbeID.WHO)
        await second.ask(ProbeID.WHO)
        async with packet_client(server.port, bob) as third:
            assert (await third.closed())[0] == 4429
        async with packet_client(server.port) as fourth:
            assert (await fourth.ask(AUTH, {"token": bob}))["status_code"] == 6
            assert (await fourth.closed())[0] == 4429
        async with packet_client(server.port, carol) as another:
            assert (await another.ask(ProbeID.WHO))["status_code"] == 0
        assert (await first.ask(ProbeID.WHO))["status_code"] == 0, "a second tab does not harm the first"
    # Who leaves is taken out of the count a moment later.
    async with asyncio.timeout(PATIENCE):
        while not await is_let_in(server, bob):  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.05)


async def is_let_in(server: Launched, token: str) -> bool:
    async with packet_client(server.port, token) as client:
        try:
            return bool((await client.ask(ProbeID.WHO))["status_code"] == 0)
        except ConnectionClosed:
            return False


async def test_too_many_connections_of_all(serve: Serve, issuer: Issuer) -> None:
    server = serve(WS_MAX_CONNECTIONS="1")
    async with packet_client(server.port, issuer.token()) as first:
        await first.ask(ProbeID.WHO)
        async with packet_client(server.port, issuer.token()) as second:
            code, closing = await second.closed()
    assert (code, closing["reason"]) == (1013, "overloaded")
    assert closing["after_ms"] >= 1000


async def test_drain_closes_with_1012_and_finishes_what_runs(serve: Serve, issuer: Issuer) -> None:
    server = serve(DRAIN_SPREAD="2", WS_MAX_CONNECTIONS="77")
    async with packet_client(server.port, issuer.token()) as busy, packet_client(server.port, issuer.token()) as idle:
        await busy.ask(ProbeID.WHO)
        await idle.ask(ProbeID.WHO)
        req_id = await busy.send(ProbeID.SLEEP, {"seconds": 1})
        while f"begin {req_id}" not in (await idle.ask(ProbeID.JOURNAL))["data"]:
            pass
        server.process.terminate()
        code, closing = await idle.closed()
        assert (code, closing["reason"], closing["reconnect"]) == (1012, "service_restart", True)
        assert 0 <= closing["after_ms"] <= 2000
        assert (await busy.reply_to(req_id))["status_code"] == 0
        assert (await busy.closed())[0] == 1012
    assert await asyncio.to_thread(server.ended) == 0


async def test_closing_has_the_shape_of_the_contract(served: Launched, issuer: Issuer) -> None:
    async with packet_client(served.port, issuer.token(OTHER_RSA_KEY)) as client:
        closing = json.loads(await client.socket.recv())
    assert closing["pkg_id"] == -6
    assert closing["req_id"] == "00000000-0000-0000-0000-000000000000"
    assert closing["data"].keys() == {"code", "reason", "reconnect", "after_ms"}


@pytest.mark.parametrize("path", ["/web", "/web/"])
async def test_a_path_as_litestar_understands_it(served: Launched, issuer: Issuer, path: str) -> None:
    async with packet_client(served.port, issuer.token(), path=path) as client:
        assert (await client.ask(ProbeID.WHO))["data"]["user"] == "alice"


@pytest.mark.parametrize("path", ["/", "/web/more", "/webs", "/health/live"])
async def test_another_path_is_no_socket(served: Launched, issuer: Issuer, path: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with packet_client(served.port, issuer.token(), path=path):
            pass
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("fast_paths", ["true", "false"])
async def test_a_fault_is_logged_and_told_by_its_code(serve: Serve, issuer: Issuer, fast_paths: str) -> None:
    broken = serve("tests.framework.connections.broken:create", FAST_PATHS=fast_paths, WS_PORT=str(free_port()))
    for door in (broken, broken.at_second_door()):
        async with packet_client(door.port, issuer.token()) as client:
            with pytest.raises(ConnectionClosed) as closed:
                await client.ask(ProbeID.WHO)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4500
    assert ["is_stranger=False" in line["exception"] for line in broken.lines("socket_failed")] == [True, True]
