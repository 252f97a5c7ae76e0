"""What the limits are for, over real sockets: whoever wants more than a fair part of a worker."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from uuid import uuid4

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from starpost.connections.limits import UNIT
from starpost.testing import Serve, plain_http
from starpost.testing.issuer import OTHER_RSA_KEY, RSA_KEY, Issuer, SigningKey
from starpost.testing.launched import Launched
from starpost.testing.packet_client import NIL, PATIENCE, PacketClient, packet_client
from starpost_dev.services.ports import free_port
from tests.framework.auth.test_logout_token import logout_claims
from tests.framework.probe import ProbeID

PING, AUTH, CLOSING = -1, -2, -6
BURST = 20
"""Of the server below: twice its rate. Low enough that what a test lasts adds few tokens."""


@pytest.fixture(scope="module")
def server(serve: Serve) -> Launched:
    return serve(USER_RATE_LIMIT="10", ADDRESS_RATE_LIMIT="10", WS_PORT=str(free_port()))


@pytest.fixture
def token(issuer: Issuer) -> str:
    return issuer.token(sub=str(uuid4()))


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def flood(client: PacketClient, count: int) -> int:
    """Send so many packets at once; how many of them were served."""
    # What came before the close can be read after it.
    with suppress(ConnectionClosed):
        for _ in range(count):
            await client.send(ProbeID.ECHO, {"name": "a"})
    replies: list[int] = []
    codes: set[int] = set()
    try:
        while len(replies) < count:
            reply = await client.receive()
            if reply["req_id"] != NIL:
                replies.append(reply["status_code"])
    except ConnectionClosed as closed:
        codes.add(closed.rcvd.code if closed.rcvd else 1006)
    assert codes <= {4429}
    assert set(replies) <= {0, 6}
    return replies.count(0)


async def test_several_sockets_have_one_budget(server: Launched, token: str) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_flood_socket(server, token)) for _ in range(5)]
    served = sum(task.result() for task in tasks)
    # The five handshakes took part of the burst, and what time passes brings tokens.
    assert BURST - 5 <= served <= BURST - 5 + 10 * (loop.time() - began) + 1


async def _flood_socket(server: Launched, token: str) -> int:
    async with packet_client(server.port, token) as client:
        return await flood(client, 30)


async def test_a_reconnect_brings_no_new_burst(server: Launched, token: str) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    served = 0
    for _ in range(8):
        async with packet_client(server.port, token) as client:
            served += await flood(client, 30)
    assert served <= BURST + 10 * (loop.time() - began) + 1


async def test_who_has_no_budget_is_not_let_in(server: Launched, token: str) -> None:
    async with packet_client(server.port, token) as client:
        await flood(client, 25)
        # At once: one after the other, a busy machine would give each handshake the token that came back meanwhile.
        verdicts = await asyncio.gather(*(verdict(server, token) for _ in range(15)))
        refused = [closing for closing in verdicts if closing is not None]
    assert refused
    for closing in refused:
        assert (closing["code"], closing["reason"], closing["reconnect"]) == (4429, "rate_limited", True)
        assert closing["after_ms"] > 0


async def verdict(server: Launched, token: str) -> Any:
    """What a handshake is told that is refused; nothing, if it is let in."""
    async with packet_client(server.port, token) as client:
        # It may be closed already; CLOSING can be read all the same.
        with suppress(ConnectionClosed):
            await client.send(PING)
        first = await client.receive()
        return first["data"] if first["pkg_id"] == CLOSING else None


async def test_requests_and_packets_have_one_budget(server: Launched, token: str) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with packet_client(server.port, token) as client:
        assert await flood(client, 15) == 15
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{server.port}",
            headers=bearer(token),
            verify=plain_http.NO_TLS,
            timeout=PATIENCE,
        ) as web:
            # At once: while each waited for its answer, a busy machine would give the next its token.
            answers = await asyncio.gather(*(web.get("/nothing") for _ in range(60)))
        statuses = [answer.status_code for answer in answers]
        assert 404 in statuses
        assert 429 in statuses
        refused = answers[statuses.index(429)]
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["code"] == "rate_limited"
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["ratelimit-policy"] == '"user";q=20;w=2'
        assert refused.headers["ratelimit"] == '"user";r=0;t=1'
        assert refused.headers["cache-control"] == "no-store"
        assert refused.headers["x-content-type-options"] == "nosniff"
        served = answers[statuses.index(404)]
        assert served.headers["ratelimit-policy"] == '"user";q=20;w=2'
        name, left = served.headers["ratelimit"].split(";r=")
        assert name == '"user"'
        assert 0 <= int(left) <= BURST - 16 + 10 * (loop.time() - began)
        # With the handshake. Two budgets would have let twice the burst pass.
        passed = 1 + 15 + statuses.count(404) + await flood(client, 30)
    assert passed <= BURST + 10 * (loop.time() - began) + 1


async def test_one_user_takes_nothing_from_another(server: Launched, token: str, issuer: Issuer) -> None:
    async with packet_client(server.port, token) as client:
        await flood(client, 25)
    async with packet_client(server.port, issuer.token(sub=str(uuid4()))) as other:
        assert await flood(other, 15) == 15


async def test_system_packets_and_batches_are_charged_too(server: Launched, token: str) -> None:
    async with packet_client(server.port, token) as client:
        await client.send_value([{"pkg_id": PING, "req_id": str(uuid4())} for _ in range(64)])
        statuses = [reply["status_code"] for reply in await client.receive()]
    # One was the handshake's.
    assert statuses[: BURST - 1] == [0] * (BURST - 1)
    assert statuses.count(0) <= BURST + 1


@pytest.fixture(scope="module")
def wide(serve: Serve) -> Launched:
    """One second has room for a frame of 100 units, none for a large one."""
    return serve(USER_RATE_LIMIT="0", WS_RATE_LIMIT="50", WS_MAX_BAD_FRAMES="1000")


async def test_a_large_frame_costs_more(wide: Launched, token: str) -> None:
    packet = {"pkg_id": ProbeID.ECHO, "req_id": str(uuid4()), "data": {"name": "a", "note": "x" * (95 * UNIT)}}
    async with packet_client(wide.port, token) as client:
        await client.send_value(packet)
        refused = await client.receive()
        assert refused["status_code"] == 0
        # Again, where the machine was so busy that the units have come back meanwhile.
        while refused["status_code"] == 0:
            await client.send_value(packet)
            refused = await client.receive()
        # Not decoded, so there is no id to answer with.
        assert (refused["status_code"], refused["pkg_id"], refused["req_id"]) == (6, 0, NIL)
        assert refused["data"]["code"] == "rate_limited"
        await asyncio.sleep(refused["data"]["retry_after"])
        await client.send_value(packet)
        assert (await client.receive())["status_code"] == 0


async def test_a_flood_of_large_bad_frames_ends(wide: Launched, token: str) -> None:
    frame = "[" + "1," * 500_000 + "1]"
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with packet_client(wide.port, token) as client:
        for _ in range(8):
            await client.send_frame(frame)
        codes = []
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                reply = await client.receive()
                codes.append(reply["data"]["code"])
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4429
    # Each takes all of a burst, which has come back after two seconds.
    assert 1 <= codes.count("batch_too_large") <= 1 + (loop.time() - began) / 2, "only the first was looked at"


async def test_a_batch_costs_its_packets_or_its_size(wide: Launched, token: str) -> None:
    small = [{"pkg_id": ProbeID.ECHO, "req_id": str(uuid4()), "data": {"name": "a"}} for _ in range(40)]
    large = [dict(packet, data={"name": "a", "note": "x" * UNIT}) for packet in small]
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with packet_client(wide.port, token) as client:
        await client.send_value(small)
        await client.send_value(large)
        await client.send_value(small)
        first, second, third = [await client.receive() for _ in range(3)]
    assert {reply["status_code"] for reply in first} == {0}
    assert {reply["status_code"] for reply in second} == {0}
    served = [reply["status_code"] for reply in third].count(0)
    assert served <= 20 + 50 * (loop.time() - began) + 1


@pytest.fixture
def strangers(server: Launched) -> Iterator[httpx.Client]:
    with stranger(server) as client:
        yield client


def stranger(server: Launched) -> httpx.Client:
    return httpx.Client(base_url=f"http://127.0.0.1:{server.port}", verify=plain_http.NO_TLS, timeout=PATIENCE)


def ask(client: httpx.Client, path: str, token: str | None = None) -> httpx.Response:
    return client.get(path, headers={} if token is None else bearer(token))


def ask_at_once(client: httpx.Client, path: str, token: str | None = None) -> list[httpx.Response]:
    """More than a burst; one after the other, a busy machine would give each the token that came back meanwhile."""
    with ThreadPoolExecutor(16) as threads:
        return list(threads.map(lambda _: ask(client, path, token), range(4 * BURST)))


async def test_a_flood_of_bad_tokens_is_refused_and_users_are_not(
    server: Launched, strangers: httpx.Client, issuer: Issuer
) -> None:
    bad = issuer.token(OTHER_RSA_KEY)
    remembered = issuer.token(sub=str(uuid4()), realm_access={"roles": ["admin"]})
    assert ask(strangers, "/connections", remembered).status_code == 200
    answers = ask_at_once(strangers, "/connections", bad)
    assert {answer.status_code for answer in answers} == {401, 429}
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["code"] == "rate_limited"
    assert refused.headers["ratelimit-policy"] == '"address";q=20;w=2'
    # The same address, with a token that has been seen: a request and a handshake.
    assert ask(strangers, "/connections", remembered).status_code == 200
    async with packet_client(server.port, remembered) as client:
        assert (await client.ask(ProbeID.WHO))["status_code"] == 0
    assert ask(strangers, "/health/ready").status_code != 429, "a balancer must not take the node for dead"
    assert 429 in {answer.status_code for answer in ask_at_once(strangers, "/")}, "what is public counts, too"


async def test_handshakes_without_a_valid_token_are_limited(server: Launched, issuer: Issuer) -> None:
    """At both doors together: neither gets more than a burst."""
    bad = issuer.token(OTHER_RSA_KEY)
    answers = []
    doors = (server.port, server.at_second_door().port)

    async def shake_hands(token: str | None, port: int) -> None:
        try:
            async with packet_client(port, token):
                pass
        except InvalidStatus as refused:
            answers.append((port, refused.response))

    await asyncio.gather(*[shake_hands(token, port) for token in [bad, None] * (BURST // 2) for port in doors])
    assert {port for port, _ in answers} == {*doors}
    for _, answer in answers:
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["ratelimit-policy"] == '"address";q=20;w=2'
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert b"rate_limited" in (answer.body or b"")
    assert "rate_limited" in [line["reason"] for line in server.lines("handshake_refused")]


async def test_a_first_auth_that_is_good_gives_the_handshake_back(server: Launched, issuer: Issuer) -> None:
    await asyncio.sleep(0.5)  # a few tokens
    for _ in range(2 * BURST):
        async with packet_client(server.port) as client:
            assert (await client.ask(AUTH, {"token": issuer.token(sub=str(uuid4()))}))["status_code"] == 0


async def test_keycloak_may_end_more_sessions_than_an_address_may_ask(server: Launched, issuer: Issuer) -> None:
    """A logout that was refused would not come again, and its session would stay."""
    await asyncio.sleep(0.5)  # a few tokens
    with stranger(server) as keycloak:

        def log_out(key: SigningKey) -> int:
            now = int(time.time())
            claims = logout_claims(iss=issuer.url, iat=now, exp=now + 120, sid=str(uuid4()), sub=str(uuid4()))
            form = {"logout_token": key.sign(claims)}
            return keycloak.post("/auth/backchannel-logout", data=form).status_code

        def flood() -> list[int]:
            with ThreadPoolExecutor(16) as threads:
                answers = threads.map(lambda _: keycloak.post("/auth/backchannel-logout"), range(4 * BURST))
                return [answer.status_code for answer in answers]

        assert {log_out(RSA_KEY) for _ in range(3 * BURST)} == {200}
        assert {log_out(SigningKey(kid=RSA_KEY.kid)) for _ in range(3)} == {400}
        assert 429 in flood()
