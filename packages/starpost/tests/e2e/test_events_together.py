"""Events that are ready together, over both doors: one frame for who asked for it, a frame each for the others."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from starpost.testing import Serve
from starpost.testing.issuer import Issuer
from starpost.testing.launched import Launched
from starpost.testing.packet_client import PacketClient
from starpost_dev.services.ports import free_port
from tests.e2e.clients import READER, Clients
from tests.e2e.test_topics import GAP, SUBSCRIBE
from tests.framework.probe import ProbeID

HISTORY = 5


@pytest.fixture(scope="module")
def nodes(serve: Serve) -> list[Launched]:
    """Both doors of a worker."""
    node = serve(
        WS_PORT=str(free_port()),
        REDIS_PREFIX="together",
        WS_OUTBOX_MESSAGES="50",
        WS_MAX_CONNECTIONS_PER_USER="500",
        WS_SEND_TIMEOUT="60",
    )
    return [node, node.at_second_door()]


@pytest.fixture
async def clients(nodes: list[Launched], issuer: Issuer) -> AsyncIterator[Clients]:
    async with AsyncExitStack() as stack:
        yield Clients(nodes, issuer, stack, roles=READER)


@pytest.fixture(params=[0, 1], ids=["first door", "second door"])
def door(request: pytest.FixtureRequest) -> int:
    return int(request.param)


async def subscribe(client: PacketClient, topic: str, **members: Any) -> Any:
    reply = await client.ask(SUBSCRIBE, {"topic": topic, **members})
    assert reply["status_code"] == 0, reply
    return reply["data"]


async def publish(client: PacketClient, topic: str, count: int, **members: Any) -> None:
    reply = await client.ask(ProbeID.PUBLISH, {"topic": topic, "count": count, **members})
    assert reply["status_code"] == 0, reply


async def frames_of(client: PacketClient, count: int) -> list[list[int]]:
    """The offsets of the next ``count`` events, by frames; of a frame that is no array, a list of one."""
    found: list[list[int]] = []
    while sum(map(len, found)) < count:
        frame = await client.receive()
        events = frame if isinstance(frame, list) else [frame]
        assert not isinstance(frame, list) or len(frame) > 1, "an array holds several"
        found.append([int(event["meta"]["offset"]) for event in events])
    assert sum(map(len, found)) == count
    return found


def flat(frames: list[list[int]]) -> list[int]:
    return [seq for frame in frames for seq in frame]


@pytest.mark.parametrize("codec", ["json", "msgpack"])
async def test_ten_in_one_go(clients: Clients, door: int, codec: Any) -> None:
    publisher = await clients()
    room = 10 + door
    batched = [await clients(node=door, codec=codec) for _ in range(3)]
    plain = [await clients(node=door, codec=codec) for _ in range(3)]
    offset = 0
    for client in (*batched, *plain):
        offset = int((await subscribe(client, f"rooms.{room}", batched=client in batched))["offset"])
    for _ in range(3):
        expected = [*range(offset + 1, offset + 11)]
        await publish(publisher, "rooms", 10, room=room)
        for client in batched:
            frames = await frames_of(client, 10)
            assert flat(frames) == expected
            assert len(frames) < 10, "some travelled together"
        for client in plain:
            assert await frames_of(client, 10) == [[seq] for seq in expected]
        offset += 10


async def test_one_event_is_no_array(clients: Clients, door: int) -> None:
    client = await clients(node=door)
    await subscribe(client, "rooms.20", batched=True)
    await publish(await clients(), "rooms", 1, room=20)
    assert isinstance(await client.receive(), dict)


async def test_what_was_missed_comes_as_one_frame(clients: Clients, door: int) -> None:
    room = 30 + door
    await publish(await clients(), "rooms", HISTORY, room=room)
    for batched, frames in ((True, [[1, 2, 3, 4, 5]]), (False, [[1], [2], [3], [4], [5]])):
        client = await clients(node=door)
        # Another worker would wait for the events; here they may still be on their way to Redis.
        while not (await subscribe(client, f"rooms.{room}", since="0", batched=batched))["recovered"]:
            pass
        got = await frames_of(client, HISTORY)
        assert flat(got) == flat(frames)
        assert len(got) <= len(frames)
        again = await clients(node=door)
        await subscribe(again, f"rooms.{room}", since="0", batched=batched)
        assert await frames_of(again, HISTORY) == frames


async def test_another_subscribe_changes_it(clients: Clients, door: int) -> None:
    client, publisher = await clients(node=door), await clients()
    for batched in (False, True, False):
        offset = int((await subscribe(client, "rooms.40", batched=batched))["offset"])
        await publish(publisher, "rooms", 10, room=40)
        frames = await frames_of(client, 10)
        assert flat(frames) == [*range(offset + 1, offset + 11)]
        assert (len(frames) < 10) is batched


async def test_batched_is_a_boolean(clients: Clients) -> None:
    reply = await (await clients()).ask(SUBSCRIBE, {"topic": "rooms.1", "batched": "yes"})
    assert reply["status_code"] == 2
    assert [error["path"] for error in reply["data"]["errors"]] == ["$.batched"]


@pytest.mark.parametrize("batched", [True, False])
async def test_who_does_not_read_gets_each_event_or_a_gap(clients: Clients, door: int, batched: bool) -> None:
    slow, quick = await clients(node=door), await clients()
    topic = f"rooms.{50 + door}"
    for client in (slow, quick):
        begun = int((await subscribe(client, topic, batched=batched))["offset"])
    slow.socket.transport.pause_reading()
    rounds, count = 10, 20
    for _ in range(rounds):
        await publish(quick, "rooms", count, size=60_000, room=50 + door)
        for _ in range(count):
            await quick.next_push(ProbeID.ROOM_EVENT)
    slow.socket.transport.resume_reading()
    seen = begun
    lost = 0
    while seen < begun + rounds * count:
        frame = await slow.receive()
        for packet in frame if isinstance(frame, list) else [frame]:
            if packet["pkg_id"] == GAP:
                gap = packet["data"]
                assert (int(gap["from"]), int(gap["to"])) == (seen + 1, seen + gap["lost"])
                seen += gap["lost"]
                lost += gap["lost"]
            else:
                assert int(packet["meta"]["offset"]) == seen + 1
                seen += 1
    assert lost > 0


async def test_who_does_not_read_is_closed_or_gets_the_latest(clients: Clients, door: int) -> None:
    strict, latest, quick = await clients("strict", node=door), await clients(node=door), await clients()
    for client, topic in ((strict, "strict"), (latest, "latest"), (quick, "latest")):
        begun = int((await subscribe(client, topic, batched=True))["offset"])
        if client is not quick:
            client.socket.transport.pause_reading()
    for _ in range(10):
        await publish(quick, "strict", 20, size=60_000)
        await publish(quick, "latest", 20, size=60_000)
        while (await quick.next_push(ProbeID.LATEST_EVENT))["data"]["n"] < 20:
            pass
    for client in (strict, latest):
        client.socket.transport.resume_reading()
    assert (await strict.closed())[0] == 1013
    seen = begun
    while seen < begun + 200:
        frame = await latest.receive()
        for packet in frame if isinstance(frame, list) else [frame]:
            assert int(packet["meta"]["offset"]) > seen
            seen = int(packet["meta"]["offset"])
