"""What topics promise beyond the example's: parameters, slow readers, audiences; on two nodes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from starpost.testing import Serve
from starpost.testing.issuer import Issuer
from starpost.testing.launched import Launched
from starpost.testing.packet_client import PATIENCE, PacketClient
from tests.e2e.clients import READER, Clients
from tests.e2e.test_topics import GAP, SUBSCRIBE, UNSUBSCRIBE, present
from tests.framework.probe import ProbeID


@pytest.fixture(scope="module")
def nodes(serve: Serve) -> list[Launched]:
    common = {
        "REDIS_PREFIX": "push",
        "WS_OUTBOX_MESSAGES": "50",
        "WS_MAX_CONNECTIONS_PER_USER": "2000",
        "WS_MAX_CONNECTIONS": "2000",
        "WS_SEND_TIMEOUT": "60",
    }
    return [serve(WORKERS="2", **common), serve(PORT="0", **common)]


@pytest.fixture
async def clients(nodes: list[Launched], issuer: Issuer) -> AsyncIterator[Clients]:
    async with AsyncExitStack() as stack:
        yield Clients(nodes, issuer, stack, roles=READER)


async def publish(client: PacketClient, topic: str, count: int = 1, **members: Any) -> None:
    reply = await client.ask(ProbeID.PUBLISH, {"topic": topic, "count": count, **members})
    assert reply["status_code"] == 0, reply


async def test_parameters_make_separate_topics(clients: Clients) -> None:
    one, two = await clients(), await clients(node=1)
    assert (await one.ask(SUBSCRIBE, {"topic": "rooms.01"}))["status_code"] == 4, "one topic, one spelling"
    assert (await one.ask(SUBSCRIBE, {"topic": "rooms.1"}))["data"]["topic"] == "rooms.1"
    assert (await two.ask(SUBSCRIBE, {"topic": "rooms.2"}))["data"]["topic"] == "rooms.2"
    assert (await two.ask(SUBSCRIBE, {"topic": "rooms.x"}))["status_code"] == 4
    await publish(one, "rooms", room=2)
    await publish(two, "rooms", room=1)
    assert (await one.next_push(ProbeID.ROOM_EVENT))["meta"]["topic"] == "rooms.1"
    assert (await two.next_push(ProbeID.ROOM_EVENT))["meta"]["topic"] == "rooms.2"


async def test_history_is_as_long_as_declared(clients: Clients) -> None:
    client = await clients()
    begun = (await client.ask(SUBSCRIBE, {"topic": "rooms.7"}))["data"]
    await publish(client, "rooms", count=12, room=7)
    start = int(begun["offset"])
    for _ in range(12):
        await client.next_push(ProbeID.ROOM_EVENT)
    for since, is_recovered in ((start + 6, False), (start + 7, True), (start + 12, True)):
        other = await clients(node=1)
        reply = await other.ask(SUBSCRIBE, {"topic": "rooms.7", "since": str(since), "epoch": begun["epoch"]})
        assert reply["data"]["recovered"] is is_recovered, since
        expected = range(since + 1, start + 13) if is_recovered else range(0)
        got = [int((await other.next_push(ProbeID.ROOM_EVENT))["meta"]["offset"]) for _ in expected]
        assert got == list(expected)


async def test_nothing_is_published_by_what_failed(clients: Clients) -> None:
    client = await clients()
    await client.ask(SUBSCRIBE, {"topic": "rooms.9"})
    assert (await client.ask(ProbeID.FAIL_AFTER_PUBLISH, {"topic": "rooms", "room": 9}))["status_code"] == 4
    await publish(client, "rooms", room=9)
    assert (await client.next_push(ProbeID.ROOM_EVENT))["data"]["n"] == 1


async def test_audiences(clients: Clients) -> None:
    ann, ann_too, ben = await clients("ann"), await clients("ann", node=1), await clients("ben", node=1)
    admin = await clients("adam", roles={"roles": ["author-reader", "admin"]})
    expected = ((ann, 1), (ann_too, 1), (ben, 1), (admin, 2))
    # Joining an audience is not answered, and pushes before it are missed, as declared: push until all have heard.
    while not all([await heard(client) for client, _ in expected]):
        for kind, name in (("user", "ann"), ("role", "admin"), ("user", "ben")):
            await ben.ask(ProbeID.PUSH, {"kind": kind, "name": name})
    for client, number in expected:
        assert await heard(client) == {number}
    while not all([3 in await heard(client) for client, _ in expected]):
        await ben.ask(ProbeID.PUSH, {"kind": "all"})
    for client, number in expected:
        assert await heard(client) == {number, 3}


async def heard(client: PacketClient) -> set[int]:
    """The pushes that have come by now."""
    await client.ask(ProbeID.WHO)
    return {packet["data"]["n"] for packet in client.pushed if packet["pkg_id"] == ProbeID.NOTICE}


async def stall(client: PacketClient) -> None:
    client.socket.transport.pause_reading()


async def test_slow_readers(clients: Clients) -> None:
    """Each policy over a real socket whose client does not read; the others are served meanwhile."""
    dropping, latest, strict, quick = [await clients(user) for user in ("d", "l", "s", "q")]
    await dropping.ask(SUBSCRIBE, {"topic": "rooms.3"})
    await latest.ask(SUBSCRIBE, {"topic": "latest"})
    await strict.ask(SUBSCRIBE, {"topic": "strict"})
    for topic in ("rooms.3", "latest", "strict"):
        await quick.ask(SUBSCRIBE, {"topic": topic})
    for slow in (dropping, latest, strict):
        await stall(slow)
    for _ in range(5):
        for topic, number, members in (
            ("rooms", ProbeID.ROOM_EVENT, {"room": 3}),
            ("latest", ProbeID.LATEST_EVENT, {}),
            ("strict", ProbeID.STRICT_EVENT, {}),
        ):
            await publish(quick, topic, count=40, size=60_000, **members)
            # Of a `latest` topic even a quick reader may miss some; the last one comes for sure.
            while (await quick.next_push(number))["data"]["n"] < 40:
                pass
    for slow in (dropping, latest, strict):
        slow.socket.transport.resume_reading()

    numbers: list[int] = []
    lost = 0
    while len(numbers) + lost < 200:
        packet = await dropping.receive()
        if packet["pkg_id"] == GAP:
            assert int(packet["data"]["to"]) - int(packet["data"]["from"]) + 1 == packet["data"]["lost"]
            lost += packet["data"]["lost"]
        else:
            numbers.append(int(packet["meta"]["offset"]))
    assert lost > 0
    assert numbers == sorted(numbers)

    last = 0
    while last < 200:
        packet = await latest.receive()
        assert packet["pkg_id"] == ProbeID.LATEST_EVENT
        last = int(packet["meta"]["offset"])

    code, closing = await strict.closed()
    assert (code, closing["reason"], closing["reconnect"]) == (1013, "slow_consumer", True)
    (line,) = [line for line in clients.nodes[0].lines("slow_consumer") if line["user"] == "s"]
    assert line["topic"] == "strict"
    assert line["depth"] > 0
    assert line["connection_id"]


@pytest.fixture
def readers() -> int:
    """How many read beside the one that does not; a multiple of 50."""
    return 1000


async def test_one_stalled_reader_among_many(clients: Clients, readers: int) -> None:
    """Every other one gets every event, however long the stalled one does not read."""
    publisher = await clients("publisher", node=1)
    stalled = await clients("stalled")
    await stalled.ask(SUBSCRIBE, {"topic": "rooms.4"})
    await stall(stalled)
    others: list[PacketClient] = []
    for batch in range(readers // 50):
        others += await asyncio.gather(*(clients(f"u{batch}-{n}", node=n % 2) for n in range(50)))
    await asyncio.gather(*(other.ask(SUBSCRIBE, {"topic": "rooms.4"}) for other in others))
    for _ in range(4):
        await publish(publisher, "rooms", count=5, size=2000, room=4)

        async def take(other: PacketClient) -> list[int]:
            return [(await other.next_push(ProbeID.ROOM_EVENT))["data"]["n"] for _ in range(5)]

        assert await asyncio.gather(*(take(other) for other in others)) == [[1, 2, 3, 4, 5]] * readers
    for size in (400, 1000):
        assert len(await present(publisher, "rooms.4", size)) == readers + 1
    assert (await publisher.ask(UNSUBSCRIBE, {"topic": "rooms.4"}))["status_code"] == 4


async def test_idle_sockets_hold_no_database_connection(clients: Clients) -> None:
    idle: list[PacketClient] = []
    for _ in range(10):
        idle += await asyncio.gather(*(clients("idle", node=n % 2) for n in range(50)))
    await asyncio.gather(*(client.ask(ProbeID.ECHO, {"name": "a"}) for client in idle))
    sql = "SELECT count(*) AS n FROM pg_stat_activity WHERE application_name = 'starpost' AND state <> 'idle'"
    # The one that asks. A server of another module may ask something in the same moment.
    async with asyncio.timeout(PATIENCE):
        while (await idle[0].ask(ProbeID.QUERY, {"sql": sql}))["data"] != [{"n": 1}]:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
