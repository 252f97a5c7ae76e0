"""Topics over real sockets: two workers behind one port, and a second node, sharing PostgreSQL and Redis."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from starpost.testing import Serve
from starpost.testing.issuer import Issuer
from starpost.testing.launched import Launched
from starpost.testing.packet_client import PacketClient
from starpost_dev.services.ephemeral import ephemeral_valkey
from starpost_dev.services.ports import free_port
from starpost_dev.services.valkey import Valkey
from tests.e2e.clients import READER, Clients
from tests.specimen import SPECIMEN

PING, AUTH, SUBSCRIBE, UNSUBSCRIBE, GAP, PRESENCE = -1, -2, -3, -4, -7, -9
CREATE_AUTHOR, UPDATE_AUTHOR, DELETE_AUTHOR, AUTHOR_EVENT = 2, 4, 5, 8


@pytest.fixture(scope="module")
def nodes(serve: Serve) -> list[Launched]:
    """A node of two workers, and another one, by its second door."""
    common = {"REDIS_PREFIX": "topics", "WS_MAX_CONNECTIONS_PER_USER": "500"}
    return [
        serve(target=SPECIMEN, WORKERS="2", **common),
        serve(target=SPECIMEN, WS_PORT=str(free_port()), **common).at_second_door(),
    ]


@pytest.fixture
async def clients(nodes: list[Launched], issuer: Issuer) -> AsyncIterator[Clients]:
    async with AsyncExitStack() as stack:
        yield Clients(nodes, issuer, stack)


def name() -> str:
    return f"author {uuid4().hex}"


async def create(client: PacketClient, **members: Any) -> Any:
    reply = await client.ask(CREATE_AUTHOR, {"name": name()}, **members)
    assert reply["status_code"] == 0, reply
    return reply["data"]


async def events(client: PacketClient, count: int) -> list[Any]:
    return [await client.next_push(AUTHOR_EVENT) for _ in range(count)]


async def event_about(client: PacketClient, author: Any) -> Any:
    """The next event about an author; one that an earlier test left on its way is passed over."""
    while (event := await client.next_push(AUTHOR_EVENT))["data"]["author"]["id"] != author["id"]:
        pass
    return event


async def test_every_worker_and_node_gets_every_event_in_order(clients: Clients) -> None:
    codecs = ["json", "msgpack"]
    subscribers = [await clients(f"user{n}", node=n % 2, roles=READER, codec=codecs[n % 2]) for n in range(8)]
    for subscriber in subscribers:
        reply = await subscriber.ask(SUBSCRIBE, {"topic": "authors"})
        assert reply["data"].keys() == {"topic", "offset", "epoch", "recovered"}
        assert reply["data"]["recovered"] is False
    editor, other = await clients(), await clients(node=1)
    by_editor, by_other = [], []
    for _ in range(3):
        by_editor.append(("created", await create(editor)))
        by_other.append(("created", await create(other)))
    author = by_other[0][1] | {"name": name()}
    await editor.ask(UPDATE_AUTHOR, {"id": author["id"], "name": author["name"]})
    by_editor.append(("updated", author))
    await other.ask(DELETE_AUTHOR, {"id": author["id"]})
    by_other.append(("deleted", author))
    seen = [await events(subscriber, 8) for subscriber in subscribers]
    assert [packets == seen[0] for packets in seen] == [True] * 8, "one order, the same for everybody"
    assert {(packet["status_code"], packet["meta"]["topic"]) for packet in seen[0]} == {(0, "authors")}
    offsets = [int(packet["meta"]["offset"]) for packet in seen[0]]
    assert offsets == list(range(offsets[0], offsets[0] + 8))
    got = [(packet["data"]["event"], packet["data"]["author"]) for packet in seen[0]]
    # An event is published behind its reply: between two workers, the order of the replies promises nothing.
    for published in (by_editor, by_other):
        assert [event for event in got if event in published] == published, "what one connection did keeps its order"


async def test_json_and_messagepack_have_the_same_shapes(clients: Clients) -> None:
    as_json, as_msgpack = await clients(), await clients(codec="msgpack")
    for subscriber in (as_json, as_msgpack):
        await subscriber.ask(SUBSCRIBE, {"topic": "authors"})
    author = await create(await clients())
    assert await event_about(as_json, author) == await event_about(as_msgpack, author)


async def test_what_is_refused(clients: Clients) -> None:
    nobody = await clients("mallory", roles={"roles": []})
    assert (await nobody.ask(SUBSCRIBE, {"topic": "authors"}))["status_code"] == 3
    assert (await nobody.ask(PRESENCE, {"topic": "authors"}))["status_code"] == 3
    reader = await clients("bob", roles=READER)
    assert (await reader.ask(SUBSCRIBE, {"topic": "nothing"}))["status_code"] == 4
    assert (await reader.ask(UNSUBSCRIBE, {"topic": "authors"}))["status_code"] == 4
    for wrong in ({}, {"topic": 3}, {"topic": "authors", "since": "-1"}, {"topic": "authors", "since": "9" * 17}):
        assert (await reader.ask(SUBSCRIBE, wrong))["status_code"] == 2, wrong


async def test_unsubscribed_is_quiet(clients: Clients) -> None:
    subscriber, other, editor = await clients(), await clients(), await clients()
    for client in (subscriber, other):
        await client.ask(SUBSCRIBE, {"topic": "authors"})
    await create(editor)
    await events(subscriber, 1)
    assert (await subscriber.ask(UNSUBSCRIBE, {"topic": "authors"}))["status_code"] == 0
    await create(editor)
    await events(other, 2)
    await subscriber.ask(SUBSCRIBE, {"topic": "authors"})
    assert not subscriber.pushed, "nothing came while it was not subscribed"
    last = await create(editor)
    # The event before may still have been on its way to this worker when the new subscription began.
    await event_about(subscriber, last)


async def test_a_client_recovers_from_any_worker(clients: Clients) -> None:
    editor, first = await clients(), await clients()
    begun = (await first.ask(SUBSCRIBE, {"topic": "authors"}))["data"]
    await create(editor)
    (seen,) = await events(first, 1)
    await first.socket.close()
    missed = [await create(editor) for _ in range(5)]
    for node in (0, 0, 1):
        again = await clients(node=node)
        reply = await again.ask(
            SUBSCRIBE, {"topic": "authors", "since": seen["meta"]["offset"], "epoch": begun["epoch"]}
        )
        assert not again.pushed, "the reply comes first"
        assert reply["data"]["recovered"] is True
        got = await events(again, 5)
        assert [packet["data"]["author"]["id"] for packet in got] == [author["id"] for author in missed]


async def test_recovery_without_a_gap_while_events_flow(clients: Clients) -> None:
    editor = await clients()
    observer = await clients(node=1)
    begun = (await observer.ask(SUBSCRIBE, {"topic": "authors"}))["data"]
    stop = asyncio.Event()

    got: list[int] = []

    async def write() -> int:
        count = 0
        while not stop.is_set():
            await create(editor)
            count += 1
            # Never so far ahead that the history (1,000 events) would not reach back to the reader.
            while count > len(got) + 500 and not stop.is_set():  # noqa: ASYNC110 - a list has no event
                await asyncio.sleep(0.01)
        return count

    writing = asyncio.create_task(write())
    offset = begun["offset"]
    for turn in range(6):
        client = await clients(node=turn % 2)
        reply = await client.ask(SUBSCRIBE, {"topic": "authors", "since": offset, "epoch": begun["epoch"]})
        assert reply["data"]["recovered"] is True
        for packet in await events(client, 10):
            offset = packet["meta"]["offset"]
            got.append(int(offset))
        await client.socket.close()
    stop.set()
    await writing
    assert got == list(range(int(begun["offset"]) + 1, int(begun["offset"]) + 61))


async def test_what_history_does_not_reach(clients: Clients) -> None:
    client = await clients()
    begun = (await client.ask(SUBSCRIBE, {"topic": "authors"}))["data"]
    for wanted in (
        {"since": begun["offset"], "epoch": "another"},
        {"since": str(int(begun["offset"]) + 1000), "epoch": begun["epoch"]},
    ):
        reply = await client.ask(SUBSCRIBE, {"topic": "authors", **wanted})
        assert reply["data"]["recovered"] is False
        assert reply["data"]["epoch"] == begun["epoch"]


async def test_a_token_without_the_role_ends_the_subscription(clients: Clients, issuer: Issuer) -> None:
    client, editor = await clients("bob", roles=READER), await clients()
    await client.ask(SUBSCRIBE, {"topic": "authors"})
    poorer = issuer.token(sub="bob", preferred_username="bob", realm_access={"roles": []}, resource_access=None)
    assert (await client.ask(AUTH, {"token": poorer}))["status_code"] == 0
    gap = await client.next_push(GAP)
    assert gap["data"] == {"topic": "authors", "lost": None, "from": None, "to": None}
    created = await create(editor)
    assert (await client.ask(UNSUBSCRIBE, {"topic": "authors"}))["status_code"] == 4
    # Only of this one: an event of an earlier test may have come while it was subscribed.
    assert created not in [packet["data"]["author"] for packet in client.pushed if packet["pkg_id"] == AUTHOR_EVENT]


async def test_subscribing_again_leaves_one_subscription(clients: Clients, issuer: Issuer) -> None:
    """As an honest client does after every GAP. Client and witness are on the same worker."""
    editor, witness = await clients(), await clients("wanda", node=1)
    client = await clients("rita", node=1, roles=READER)
    await witness.ask(SUBSCRIBE, {"topic": "authors"})

    async def pushes() -> int:
        """Of one event: when the witness has it, whatever this client gets of it is on its way."""
        created = await create(editor)
        await event_about(witness, created)
        await client.ask(PING)
        got = [packet["data"]["author"] for packet in client.pushed if packet["pkg_id"] == AUTHOR_EVENT]
        client.pushed.clear()
        return got.count(created)

    for _ in range(4):
        assert (await client.ask(SUBSCRIBE, {"topic": "authors"}))["status_code"] == 0
    assert await pushes() == 1
    assert {"user": "rita", "connections": 1} in await present(witness)
    assert (await client.ask(UNSUBSCRIBE, {"topic": "authors"}))["status_code"] == 0
    assert await pushes() == 0

    for _ in range(2):
        await client.ask(SUBSCRIBE, {"topic": "authors"})
    poorer = issuer.token(sub="rita", preferred_username="rita", realm_access={"roles": []}, resource_access=None)
    await client.ask(AUTH, {"token": poorer})
    assert await pushes() == 0

    again = await clients("rita", node=1, roles=READER)
    for _ in range(2):
        await again.ask(SUBSCRIBE, {"topic": "authors"})
    await witness.ask(PRESENCE, {"topic": "authors", "watch": True})
    await again.socket.close()
    while "rita" not in (await witness.next_push(PRESENCE))["data"]["left"]:
        pass
    assert "rita" not in {user["user"] for user in await present(witness)}


async def present(client: PacketClient, topic: str = "authors", size: int = 3) -> list[Any]:
    """Everybody who is subscribed, page by page."""
    users: list[Any] = []
    cursor: str | None = None
    while True:
        reply = await client.ask(PRESENCE, {"topic": topic, "per_page": size, "cursor": cursor})
        page, cursor = reply["data"]["users"], reply["meta"]["next"]
        assert reply["meta"] == {"per_page": size, "next": cursor, "has_more": cursor is not None}
        assert len(page) == size if cursor is not None else len(page) <= size
        users += page
        if cursor is None:
            assert len({user["user"] for user in users}) == len(users)
            return users


async def test_a_renamed_user_is_the_same_one(clients: Clients, issuer: Issuer) -> None:
    watcher = await clients("wanda", node=1)
    client, other = await clients("old-name"), await clients("old-name", node=1)
    for connection in (client, other):
        await connection.ask(SUBSCRIBE, {"topic": "authors"})
    await watcher.ask(PRESENCE, {"topic": "authors", "watch": True})
    renamed = issuer.token(sub="old-name", preferred_username="new-name", realm_access=READER, resource_access=None)
    assert (await client.ask(AUTH, {"token": renamed}))["data"]["user"] == "new-name"
    while "new-name" not in (change := await watcher.next_push(PRESENCE))["data"]["joined"]:
        pass
    assert "old-name" in change["data"]["left"]
    users = await present(watcher)
    assert {"user": "new-name", "connections": 2} in users
    assert "old-name" not in {user["user"] for user in users}
    for connection in (client, other):
        await connection.socket.close()
    while "new-name" not in (change := await watcher.next_push(PRESENCE))["data"]["left"]:
        assert "old-name" not in change["data"]["joined"]
    assert {user["user"] for user in await present(watcher)}.isdisjoint({"old-name", "new-name"})


async def test_presence(clients: Clients, nodes: list[Launched]) -> None:
    anna = [await clients("anna", node=n % 2) for n in range(3)]
    watcher = await clients("wanda", node=1)
    first = await watcher.ask(PRESENCE, {"topic": "authors", "watch": True})
    before = {user["user"] for user in first["data"]["users"]}
    for connection in anna:
        await connection.ask(SUBSCRIBE, {"topic": "authors"})
    # Who was here for an earlier test may leave only now.
    while "anna" not in (change := await watcher.next_push(PRESENCE))["data"]["joined"]:
        assert "anna" not in change["data"]["left"]
    assert change["data"]["topic"] == "authors"
    users = (await watcher.ask(PRESENCE, {"topic": "authors"}))["data"]["users"]
    assert {"user": "anna", "connections": 3} in users
    assert {user["user"] for user in users} <= before | {"anna"}
    await anna[0].socket.close()
    await anna[1].ask(UNSUBSCRIBE, {"topic": "authors"})
    await anna[2].socket.close()
    while "anna" not in (change := await watcher.next_push(PRESENCE))["data"]["left"]:
        assert "anna" not in change["data"]["joined"]


async def test_presence_after_a_worker_was_killed(serve: Serve, issuer: Issuer) -> None:
    common = {"REDIS_PREFIX": "killed", "PRESENCE_LEASE": "2"}
    dying = serve(target=SPECIMEN, **common)
    living = serve(target=SPECIMEN, PORT="0", **common)
    async with AsyncExitStack() as stack:
        clients = Clients([dying, living], issuer, stack)
        watcher = await clients("wanda", node=1)
        await watcher.ask(PRESENCE, {"topic": "authors", "watch": True})
        victim = await clients("victor", node=0)
        await victim.ask(SUBSCRIBE, {"topic": "authors"})
        assert (await watcher.next_push(PRESENCE))["data"]["joined"] == ["victor"]
        os.kill(dying.workers()[0], signal.SIGKILL)
        assert (await watcher.next_push(PRESENCE))["data"]["left"] == ["victor"]
        assert (await watcher.ask(PRESENCE, {"topic": "authors"}))["data"]["users"] == []


@pytest.fixture(scope="module")
def own_valkey() -> Any:
    with ephemeral_valkey() as valkey:
        yield valkey


async def test_redis_killed_and_restarted_while_events_flow(serve: Serve, issuer: Issuer, own_valkey: Valkey) -> None:
    """Writes go on; events wait, and arrive when Redis is back, each once and in order."""
    server = serve(target=SPECIMEN, WORKERS="2", **own_valkey.endpoint.environment())
    async with AsyncExitStack() as stack:
        clients = Clients([server], issuer, stack)
        editor = await clients()
        subscribers = [await clients(f"user{n}") for n in range(4)]
        begun = [(await subscriber.ask(SUBSCRIBE, {"topic": "authors"}))["data"] for subscriber in subscribers]
        written = [await create(editor) for _ in range(5)]
        for subscriber in subscribers:
            assert [packet["data"]["author"] for packet in await events(subscriber, 5)] == written
        await asyncio.to_thread(own_valkey.kill)
        written = [await create(editor) for _ in range(5)]
        assert (await editor.ask(SUBSCRIBE, {"topic": "authors"}))["data"]["code"] == "unavailable"
        await asyncio.to_thread(own_valkey.start)
        for subscriber in subscribers:
            assert [packet["data"]["author"] for packet in await events(subscriber, 5)] == written
            assert not [packet for packet in subscriber.pushed if packet["pkg_id"] == GAP]
        reply = await editor.ask(SUBSCRIBE, {"topic": "authors", "since": begun[0]["offset"]})
        assert reply["data"]["recovered"] is True
        assert len(await events(editor, 10)) == 10


async def test_redis_that_lost_its_data_is_told(serve: Serve, issuer: Issuer, own_valkey: Valkey) -> None:
    server = serve(target=SPECIMEN, WORKERS="2", **own_valkey.endpoint.environment())
    async with AsyncExitStack() as stack:
        clients = Clients([server], issuer, stack)
        editor, subscriber = await clients(), await clients("sue")
        begun = (await subscriber.ask(SUBSCRIBE, {"topic": "authors"}))["data"]
        await create(editor)
        await events(subscriber, 1)
        await flush(own_valkey)
        await create(editor)
        gap = await subscriber.next_push(GAP)
        assert gap["data"] == {"topic": "authors", "lost": None, "from": None, "to": None}
        reply = await subscriber.ask(SUBSCRIBE, {"topic": "authors", "since": begun["offset"], "epoch": begun["epoch"]})
        assert reply["data"]["recovered"] is False
        assert reply["data"]["epoch"] != begun["epoch"]


async def flush(valkey: Valkey) -> None:
    """Make Redis forget everything."""
    async with Redis(host=valkey.endpoint.host, port=valkey.endpoint.port, password=valkey.endpoint.password) as redis:
        await redis.flushall()
