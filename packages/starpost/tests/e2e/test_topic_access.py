"""Who hears a topic: checks by its parameters, and what happens while a SUBSCRIBE waits; packets run in parallel.

Redis and the database are made to hang, so that a test decides what happens while something is waited for.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg
import pytest
from redis.asyncio import Redis

from starpost.testing import Serve
from starpost.testing.issuer import Issuer
from starpost.testing.launched import Launched
from starpost.testing.packet_client import PacketClient
from starpost_dev.services.ephemeral import ephemeral_valkey
from starpost_dev.services.valkey import Valkey
from tests.e2e.clients import Clients
from tests.e2e.test_topics import AUTH, GAP, PING, PRESENCE, SUBSCRIBE, UNSUBSCRIBE, present
from tests.framework.hanging import hanging
from tests.framework.probe import ProbeID

LIMIT = 3


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    """A Redis of one's own: it is made to hang, and looked into."""
    with ephemeral_valkey() as running:
        yield running


@pytest.fixture(scope="module")
def server(serve: Serve, valkey: Valkey) -> Launched:
    """One worker, so that whoever gets an event knows that the others have it, too."""
    return serve(WS_MAX_PARALLEL="8", WS_MAX_SUBSCRIPTIONS=str(LIMIT), **valkey.endpoint.environment())


class Room:
    """Clients of one worker, with a token for each set of rooms."""

    def __init__(self, clients: Clients, issuer: Issuer) -> None:
        self._clients = clients
        self._issuer = issuer

    async def enter(self, user: str, *rooms: int) -> PacketClient:
        return await self._clients(user, roles=roles(*rooms))

    async def sign_in(self, client: PacketClient, user: str, *rooms: int) -> None:
        """Replace the token."""
        token = self.token(user, realm_access=roles(*rooms))
        assert (await client.ask(AUTH, {"token": token}))["status_code"] == 0

    def token(self, user: str, **members: Any) -> str:
        return self._issuer.token(sub=user, preferred_username=user, resource_access=None, **members)


def roles(*rooms: int) -> dict[str, list[str]]:
    return {"roles": ["author-reader", *(f"room-{room}" for room in rooms)]}


@pytest.fixture
async def room(server: Launched, issuer: Issuer) -> AsyncIterator[Room]:
    async with AsyncExitStack() as stack:
        yield Room(Clients([server], issuer, stack), issuer)


@asynccontextmanager
async def slow_check(postgres: "asyncpg.Connection[asyncpg.Record]", number: int) -> AsyncIterator[None]:
    """While open, the check of this room does not answer."""
    await postgres.execute("SELECT pg_advisory_lock($1)", number)
    try:
        yield
    finally:
        await postgres.execute("SELECT pg_advisory_unlock($1)", number)


async def until_asked(postgres: "asyncpg.Connection[asyncpg.Record]", number: int) -> None:
    """Wait until the check of this room waits."""
    waiting = "SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND objid = $1 AND NOT granted"
    await until(lambda: postgres.fetchval(waiting, number))


async def until(look: Callable[[], Awaitable[Any]]) -> None:
    async with asyncio.timeout(100):
        while not await look():  # noqa: ASYNC110 - other processes change it
            await asyncio.sleep(0.02)


async def publish(client: PacketClient, topic: str, number: int) -> None:
    assert (await client.ask(ProbeID.PUBLISH, {"topic": topic, "room": number}))["status_code"] == 0


async def heard(client: PacketClient, event: ProbeID) -> list[Any]:
    """The events that have come by now."""
    await client.ask(PING)
    found = [packet for packet in client.pushed if packet["pkg_id"] == event]
    client.pushed.clear()
    return found


async def replies(client: PacketClient, *req_ids: str) -> list[Any]:
    """The replies to these packets, in whatever order they come."""
    found: dict[str, Any] = {}
    while found.keys() != set(req_ids):
        packet = await client.receive()
        if packet["req_id"] in req_ids:
            found[packet["req_id"]] = packet
        else:
            client.pushed.append(packet)
    return [found[req_id] for req_id in req_ids]


# ---- checks by parameters --------------------------------------------------------------------------------------------


async def test_everyone_hears_their_own_alone(room: Room) -> None:
    alice = await room.enter("alice")
    assert (await alice.ask(SUBSCRIBE, {"topic": "orders.alice"}))["status_code"] == 0
    for packet, data in ((SUBSCRIBE, {}), (PRESENCE, {}), (PRESENCE, {"watch": True})):
        reply = await alice.ask(packet, {"topic": "orders.bob"} | data)
        assert (reply["status_code"], reply["data"]["code"]) == (3, "permission_denied")
    assert (await alice.ask(UNSUBSCRIBE, {"topic": "orders.bob"}))["status_code"] == 4


async def test_a_check_may_ask_the_database(room: Room, server: Launched) -> None:
    client = await room.enter("anna", 5)
    assert (await client.ask(SUBSCRIBE, {"topic": "members.5"}))["status_code"] == 0
    assert (await client.ask(SUBSCRIBE, {"topic": "members.6"}))["status_code"] == 3
    assert (await client.ask(SUBSCRIBE, {"topic": "members.five"}))["status_code"] == 4
    await publish(client, "members", 5)
    assert (await client.next_push(ProbeID.MEMBER_EVENT))["meta"]["topic"] == "members.5"


async def test_a_check_that_raises_lets_nobody_in(room: Room, server: Launched) -> None:
    client = await room.enter("anna", 13)
    for packet in (SUBSCRIBE, PRESENCE):
        reply = await client.ask(packet, {"topic": "members.13"})
        assert (reply["status_code"], reply["data"]["code"]) == (1, "internal")
        assert "secret" not in str(reply)
        (line,) = [line for line in server.lines() if line.get("incident") == reply["data"]["incident"]]
        assert "the secret of the room" in str(line)
    assert (await client.ask(UNSUBSCRIBE, {"topic": "members.13"}))["status_code"] == 4


async def test_nothing_is_heard_while_a_new_token_is_judged(
    room: Room, postgres: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    client, witness = await room.enter("anna", 7), await room.enter("wanda", 7)
    for each in (client, witness):
        assert (await each.ask(SUBSCRIBE, {"topic": "members.7"}))["status_code"] == 0
    async with slow_check(postgres, 7):
        await room.sign_in(client, "anna")
        await until_asked(postgres, 7)
        await publish(witness, "members", 7)
        await witness.next_push(ProbeID.MEMBER_EVENT)
        assert await heard(client, ProbeID.MEMBER_EVENT) == []
    gap = await client.next_push(GAP)
    assert gap["data"] == {"topic": "members.7", "lost": None, "from": None, "to": None}
    await publish(witness, "members", 7)
    await witness.next_push(ProbeID.MEMBER_EVENT)
    assert await heard(client, ProbeID.MEMBER_EVENT) == []
    assert (await client.ask(UNSUBSCRIBE, {"topic": "members.7"}))["status_code"] == 4


async def test_what_waited_for_a_good_token_comes_once(
    room: Room, postgres: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """And a token that is replaced before it was judged does not count."""
    client, witness = await room.enter("anna", 8), await room.enter("wanda", 8)
    for each in (client, witness):
        await each.ask(SUBSCRIBE, {"topic": "members.8"})
    assert (await client.ask(PRESENCE, {"topic": "members.8", "watch": True}))["status_code"] == 0
    late = await room.enter("lara", 8)
    async with slow_check(postgres, 8):
        await room.sign_in(client, "anna")
        await until_asked(postgres, 8)
        await room.sign_in(client, "anna", 8)
        for _ in range(3):
            await publish(witness, "members", 8)
            await witness.next_push(ProbeID.MEMBER_EVENT)
        await witness.ask(UNSUBSCRIBE, {"topic": "members.8"})
        assert await heard(client, ProbeID.MEMBER_EVENT) == []
    got = [await client.next_push(ProbeID.MEMBER_EVENT) for _ in range(3)]
    assert [int(packet["meta"]["offset"]) for packet in got] == list(
        range(int(got[0]["meta"]["offset"]), int(got[0]["meta"]["offset"]) + 3)
    )
    assert not [packet for packet in client.pushed if packet["pkg_id"] == GAP]
    await late.ask(SUBSCRIBE, {"topic": "members.8"})
    while "lara" not in (await client.next_push(PRESENCE))["data"]["joined"]:
        pass
    await publish(late, "members", 8)
    assert int((await client.next_push(ProbeID.MEMBER_EVENT))["meta"]["offset"]) == int(got[2]["meta"]["offset"]) + 1


async def test_a_watch_ends_with_the_right_to_it(room: Room, postgres: "asyncpg.Connection[asyncpg.Record]") -> None:
    client, witness = await room.enter("anna", 11), await room.enter("wanda", 11)
    for each in (client, witness):
        assert (await each.ask(PRESENCE, {"topic": "members.11", "watch": True}))["status_code"] == 0
    await room.sign_in(client, "anna")
    # One that came before the check had answered would have been held back.
    await client.ask(PRESENCE, {"topic": "members.11"})
    await witness.ask(SUBSCRIBE, {"topic": "members.11"})
    assert (await witness.next_push(PRESENCE))["data"]["joined"] == ["wanda"]
    await client.ask(PING)
    assert not [packet for packet in client.pushed if packet["pkg_id"] == PRESENCE]


async def test_a_token_that_is_replaced_while_its_subscribe_is_judged(
    room: Room, postgres: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    client = await room.enter("anna", 9)
    async with slow_check(postgres, 9):
        pending = await client.send(SUBSCRIBE, {"topic": "members.9"})
        watching = await client.send(PRESENCE, {"topic": "members.9", "watch": True})
        await until_asked(postgres, 9)
        await room.sign_in(client, "anna")
    for reply in await replies(client, pending, watching):
        assert reply["status_code"] == 3
    assert (await client.ask(UNSUBSCRIBE, {"topic": "members.9"}))["status_code"] == 4


# ---- while a SUBSCRIBE waits -----------------------------------------------------------------------------------------


async def with_history(client: PacketClient, number: int) -> dict[str, str]:
    """What a client keeps that missed two events of a room which this worker hears."""
    begun = (await client.ask(SUBSCRIBE, {"topic": f"rooms.{number}"}))["data"]
    for _ in range(2):
        await publish(client, "rooms", number)
        await client.next_push(ProbeID.ROOM_EVENT)
    return {"topic": f"rooms.{number}", "since": begun["offset"]}


async def test_a_role_that_is_taken_meanwhile_takes_the_history_along(room: Room, valkey: Valkey) -> None:
    witness, client = await room.enter("wanda"), await room.enter("anna")
    wanted = await with_history(witness, 21)
    with hanging(valkey):
        pending = await client.send(SUBSCRIBE, wanted)
        signing_in = await client.send(AUTH, {"token": room.token("anna", realm_access={"roles": []})})
        (signed_in,) = await replies(client, signing_in)
        assert signed_in["status_code"] == 0
    (reply,) = await replies(client, pending)
    assert (reply["status_code"], reply["data"]["code"]) == (3, "permission_denied")
    await publish(witness, "rooms", 21)
    await witness.next_push(ProbeID.ROOM_EVENT)
    assert await heard(client, ProbeID.ROOM_EVENT) == []
    assert [user["user"] for user in await present(witness, "rooms.21")] == ["wanda"]


async def test_packets_about_one_topic_keep_their_order(room: Room, valkey: Valkey) -> None:
    witness, client = await room.enter("wanda"), await room.enter("anna")
    wanted = await with_history(witness, 22)
    with hanging(valkey):
        sent = [await client.send(SUBSCRIBE, wanted) for _ in range(2)]
        sent += [await client.send(UNSUBSCRIBE, {"topic": "rooms.22"}) for _ in range(2)]
        sent += [await client.send(SUBSCRIBE, {"topic": "rooms.22"})]
        await client.ask(PING)
    outcomes = await replies(client, *sent)
    assert [reply["status_code"] for reply in outcomes] == [0, 0, 0, 4, 0]
    client.pushed.clear()
    await publish(witness, "rooms", 22)
    await witness.next_push(ProbeID.ROOM_EVENT)
    assert len(await heard(client, ProbeID.ROOM_EVENT)) == 1
    assert [user["connections"] for user in await present(witness, "rooms.22")] == [1, 1]


async def test_a_client_that_vanishes_meanwhile_leaves_nothing(room: Room, valkey: Valkey) -> None:
    witness, client = await room.enter("wanda"), await room.enter("anna")
    wanted = await with_history(witness, 23)
    with hanging(valkey):
        for topic in (wanted, {"topic": "rooms.24"}):
            await client.send(SUBSCRIBE, topic)
        await client.ask(PING)
        client.socket.transport.abort()

    async def is_gone() -> bool:
        here = [user["user"] for topic in ("rooms.23", "rooms.24") for user in await present(witness, topic)]
        return here == ["wanda"]

    await until(is_gone)


# ---- limits ----------------------------------------------------------------------------------------------------------


async def test_watches_count_as_subscriptions(room: Room) -> None:
    client = await room.enter("anna")
    for number in range(LIMIT - 1):
        assert (await client.ask(SUBSCRIBE, {"topic": f"rooms.{number}"}))["status_code"] == 0
    assert (await client.ask(PRESENCE, {"topic": "rooms.0", "watch": True}))["status_code"] == 0
    for packet, data in ((SUBSCRIBE, {"topic": "rooms.9"}), (PRESENCE, {"topic": "rooms.9", "watch": True})):
        reply = await client.ask(packet, data)
        assert (reply["status_code"], reply["data"]["code"]) == (5, "conflict")
    # Again is no more, and asking once takes no place.
    assert (await client.ask(SUBSCRIBE, {"topic": "rooms.0"}))["status_code"] == 0
    assert (await client.ask(PRESENCE, {"topic": "rooms.0", "watch": True}))["status_code"] == 0
    assert (await client.ask(PRESENCE, {"topic": "rooms.9"}))["status_code"] == 0
    assert (await client.ask(PRESENCE, {"topic": "rooms.0", "watch": False}))["status_code"] == 0
    assert (await client.ask(SUBSCRIBE, {"topic": "rooms.9"}))["status_code"] == 0


async def test_names_that_nobody_published_to_leave_no_key_behind(room: Room, valkey: Valkey) -> None:
    client, witness = await room.enter("anna"), await room.enter("wanda")

    async def keys() -> set[str]:
        endpoint = valkey.endpoint
        async with Redis(host=endpoint.host, port=endpoint.port, password=endpoint.password) as redis:
            return {key.decode() async for key in redis.scan_iter(match="*rooms.98765*")}

    async def are_gone() -> bool:
        return not await keys()

    for number in range(987650, 987660):
        topic = {"topic": f"rooms.{number}"}
        assert (await client.ask(SUBSCRIBE, topic))["status_code"] == 0
        assert (await client.ask(SUBSCRIBE, topic | {"since": "0"}))["data"]["offset"] == "0"
        assert (await client.ask(PRESENCE, topic))["status_code"] == 0
        assert await keys()
        assert (await client.ask(UNSUBSCRIBE, topic))["status_code"] == 0
    await client.ask(SUBSCRIBE, {"topic": "rooms.987650"})
    await client.ask(PRESENCE, {"topic": "rooms.987651", "watch": True})
    await client.socket.close()
    await until(are_gone)
    assert (await witness.ask(PING))["status_code"] == 0


@pytest.mark.parametrize("cursor", ["", "1", "bm8", "WzEsInByZXNlbmNlIixbIngiXV0"])
async def test_wrong_pages(room: Room, cursor: str) -> None:
    client = await room.enter("anna")
    reply = await client.ask(PRESENCE, {"topic": "rooms.1", "cursor": cursor})
    assert reply["status_code"] == (2 if cursor else 0)
    for size in (0, 1001, "x"):
        reply = await client.ask(PRESENCE, {"topic": "rooms.1", "per_page": size})
        assert [error["path"] for error in reply["data"]["errors"]] == ["$.per_page"]
