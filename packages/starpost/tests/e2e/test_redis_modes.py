"""The same application on one server, behind Sentinel and on a cluster: two nodes, one of them with two workers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from starpost.testing import plain_http, serving
from starpost.testing.issuer import Issuer
from starpost.testing.launched import Launched, until
from starpost.testing.packet_client import PacketClient, packet_client
from starpost_dev.services import Services, ValkeyCluster, ephemeral_valkey, ephemeral_valkey_cluster
from tests.e2e.sentinel import HASTY, PATIENT, Watched, watched_by_sentinels
from tests.specimen import SPECIMEN

SUBSCRIBE, PRESENCE = -3, -9
GET_AUTHORS, CREATE_AUTHOR, AUTHOR_EVENT = 1, 2, 8
ADMIN = {"roles": ["author-reader", "author-editor", "admin"]}
LIMIT = 3
PATIENCE = 100.0


@dataclass(frozen=True)
class Installation:
    """Two nodes, and what they have of Redis."""

    mode: str
    nodes: list[Launched]
    issuer: Issuer
    redis: Any

    def token(self, user: str) -> str:
        return self.issuer.token(sub=user, preferred_username=user, realm_access=ADMIN, resource_access=None)


@pytest.fixture(scope="module", params=["single", "sentinel", "cluster"])
def installation(
    request: pytest.FixtureRequest, services: Services, issuer: Issuer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    with ExitStack() as stack:
        redis: Any
        if request.param == "single":
            redis = stack.enter_context(ephemeral_valkey())
            environ = redis.endpoint.environment()
        elif request.param == "sentinel":
            redis = stack.enter_context(watched_by_sentinels())
            environ = redis.environment()
        else:
            redis = stack.enter_context(ephemeral_valkey_cluster())
            environ = {
                "REDIS_MODE": "cluster",
                "REDIS_NODES": ",".join(f"{host}:{port}" for host, port in redis.addresses),
                "REDIS_PASSWORD": redis.password,
            }
        environ |= {
            "KEYCLOAK_BASE_URL": issuer.base_url,
            "DRAIN_SPREAD": "0",
            "WS_MAX_CONNECTIONS_PER_USER": str(LIMIT),
        }
        nodes = [
            stack.enter_context(
                serving(services.environment(), tmp_path_factory.mktemp("node"), SPECIMEN, WORKERS=workers, **environ)
            )
            for workers in ("2", "1")
        ]
        yield Installation(request.param, nodes, issuer, redis)


@pytest.fixture
async def connect(installation: Installation) -> AsyncIterator[Callable[..., Awaitable[PacketClient]]]:
    async with AsyncExitStack() as stack:

        async def connect(user: str, node: int) -> PacketClient:
            token = installation.token(user)
            return await stack.enter_async_context(packet_client(installation.nodes[node].port, token))

        yield connect


Connect = Callable[..., Awaitable[PacketClient]]


def user() -> str:
    return f"user-{uuid4().hex}"


async def create(client: PacketClient) -> str:
    """Add an author; tried again for as long as a part is away, as ``retryable`` says."""
    async with asyncio.timeout(PATIENCE):
        while True:
            name = f"author {uuid4().hex}"
            reply = await client.ask(CREATE_AUTHOR, {"name": name})
            if reply["status_code"] == 0:
                return name
            assert reply["data"]["retryable"], reply
            await asyncio.sleep(0.1)


async def follow(client: PacketClient, **position: Any) -> dict[str, Any]:
    """Subscribe to the authors, as soon as that is possible."""
    async with asyncio.timeout(PATIENCE):
        while True:
            reply = await client.ask(SUBSCRIBE, {"topic": "authors"} | position)
            if reply["status_code"] == 0:
                return dict(reply["data"])
            assert reply["data"]["retryable"], reply


async def names(client: PacketClient, count: int) -> list[str]:
    """Whom the next events are about."""
    return [(await client.next_push(AUTHOR_EVENT))["data"]["author"]["name"] for _ in range(count)]


async def test_events_reach_every_node_and_are_recovered_on_another(
    installation: Installation, connect: Connect
) -> None:
    listeners = [await connect(user(), node) for node in (0, 0, 1, 1)]
    positions = [await follow(listener) for listener in listeners]
    writers = [await connect(user(), node) for node in (0, 1)]
    written = [await create(writers[number % 2]) for number in range(10)]
    for listener in listeners:
        assert sorted(await names(listener, 10)) == sorted(written)
    late = await connect(user(), 1)
    position = await follow(late, since=positions[0]["offset"], epoch=positions[0]["epoch"])
    assert position["recovered"] is True
    assert sorted(await names(late, 10)) == sorted(written)


async def test_who_is_there_is_known_on_every_node(installation: Installation, connect: Connect) -> None:
    here, there = user(), user()
    first, second = await connect(here, 0), await connect(there, 1)
    await follow(first)
    await follow(second)
    reply = await first.ask(PRESENCE, {"topic": "authors"})
    assert {here, there} <= {present["user"] for present in reply["data"]["users"]}


async def test_the_limit_of_a_users_connections_holds_across_nodes(
    installation: Installation, connect: Connect
) -> None:
    name = user()
    for node in (0, 1, 0):
        reply = await (await connect(name, node)).ask(GET_AUTHORS)
        assert reply["status_code"] == 0
    code, closing = await (await connect(name, 1)).closed()
    assert (code, closing["reason"]) == (4429, "too_many_connections")


async def test_sessions_are_listed_and_ended_from_another_node(installation: Installation, connect: Connect) -> None:
    name = user()
    client = await connect(name, 0)
    await client.ask(GET_AUTHORS)
    other = installation.nodes[1]
    headers = {"Authorization": f"Bearer {installation.token(user())}"}
    listed = await asyncio.to_thread(other.get, "/connections", headers=headers, params={"user": name})
    assert listed.status_code == 200, listed.text
    assert [item["user"] for item in listed.json()["items"]] == [name]
    ended = await asyncio.to_thread(delete, other, name, headers)
    assert ended in (200, 204)
    assert (await client.closed())[0] == 4401


def delete(node: Launched, name: str, headers: dict[str, str]) -> int:

    answer = plain_http.delete(f"http://127.0.0.1:{node.port}/connections", params={"user": name}, headers=headers)
    return answer.status_code


async def test_both_nodes_are_ready(installation: Installation) -> None:
    for node in installation.nodes:
        await asyncio.to_thread(until, lambda: node.get("/health/ready").status_code == 200, "ready")  # noqa: B023


async def test_a_server_is_lost_while_events_flow(installation: Installation, connect: Connect) -> None:
    """Last: afterwards the installation is another. Sockets stay open, and what is acknowledged is heard of."""
    listeners = [await connect(user(), node) for node in (0, 1)]
    for listener in listeners:
        await follow(listener)
    writer = await connect(user(), 0)
    written = [await create(writer) for _ in range(5)]
    for listener in listeners:
        assert await names(listener, 5) == written

    came_back = await asyncio.to_thread(lose_a_server, installation)
    written = [await create(writer) for _ in range(5)]
    await asyncio.to_thread(came_back)
    written += [await create(writer) for _ in range(5)]
    for listener in listeners:
        assert await names(listener, 10) == written
    # And whoever comes new is let in.
    fresh = await connect(user(), 1)
    await follow(fresh)
    assert await create(writer) in await names(fresh, 1)


def lose_a_server(installation: Installation) -> Callable[[], object]:
    """Kill the server that has the topic; what brings a server for it back."""
    redis = installation.redis
    if isinstance(redis, Watched):
        old = redis.primary()
        server = next(server for server in redis.servers if server.port == old)
        redis.take_for_lost_after(HASTY)
        server.kill()

        def taken_over() -> None:
            """Nothing is brought back: the replica takes over."""
            until(lambda: redis.primary() != old, "another primary")
            redis.take_for_lost_after(PATIENT)

        return taken_over
    if isinstance(redis, ValkeyCluster):
        index = next(
            number
            for number, node in enumerate(redis.nodes)
            if node.command("PUBSUB", "SHARDCHANNELS", "*:topic:authors*")
        )
        redis.nodes[index].kill()
        return lambda: redis.start_node(index)
    redis.kill()
    return redis.start  # type: ignore[no-any-return]
