"""Frames that wait for their turn, over real sockets: their bounds, and what becomes of them when the session ends."""

import asyncio
import time
from typing import Any
from uuid import uuid4

import pytest

from starpost.connections.inbox import Inbox
from starpost.testing.issuer import Issuer
from starpost.testing.launched import Launched
from starpost.testing.packet_client import PacketClient, packet_client
from tests.framework.connections.short_lives import TooLateError, in_a_short_life
from tests.framework.probe import ProbeID

PING, SUBSCRIBE, CANCEL, PRESENCE = -1, -3, -5, -9


@pytest.fixture
def token(issuer: Issuer) -> str:
    return issuer.token(sub=str(uuid4()), realm_access={"roles": ["author-reader"]}, resource_access={})


def slots_of(server: Launched) -> int:
    """Packets of one connection that run at once."""
    return int(server.environ.get("WS_MAX_PARALLEL", "1"))


async def sleep(client: PacketClient, seconds: float, count: int) -> list[str]:
    """Ask for so many packets that take so long; their ids."""
    return [await client.send(ProbeID.SLEEP, {"seconds": seconds}) for _ in range(count)]


async def receive(client: PacketClient, count: int) -> list[Any]:
    return [await client.receive() for _ in range(count)]


def test_an_inbox_counts_what_it_keeps() -> None:
    inbox = Inbox()
    messages = [{"type": "websocket.receive", "text": "x" * 600}, {"type": "websocket.receive", "bytes": b"x" * 600}]
    for message in messages:
        assert inbox.has_room(1200)
        inbox.put(message)
    assert not inbox.has_room(1200)
    assert inbox.has_room(4000)
    assert inbox.take() is messages[0]
    assert inbox.has_room(1200)
    for _ in range(5):
        inbox.put(messages[0])
    inbox.skip_to_last()
    assert list(inbox) == [messages[0]]
    inbox.take()
    assert inbox.has_room(1)


async def test_small_frames_do_not_keep_control_packets_waiting(either: Launched, token: str) -> None:
    async with packet_client(either.port, token) as client:
        running = await sleep(client, 25, slots_of(either))
        waiting = [await client.send(ProbeID.ECHO, {"name": "a"}) for _ in range(200)]
        ping = await client.send(PING)
        assert (await client.receive())["req_id"] == ping
        for req_id in running:
            await client.send(CANCEL, {"req_id": req_id})
        replies = {reply["req_id"]: reply["status_code"] for reply in await receive(client, 200 + 2 * len(running))}
        assert {replies[req_id] for req_id in running} == {8}
        assert {replies[req_id] for req_id in waiting} == {0}


async def test_a_client_waits_when_much_of_it_waits(either: Launched, token: str) -> None:
    """Nothing more is read, not even a PING, until there is room; nothing is lost."""
    async with packet_client(either.port, token) as client:
        running = await sleep(client, 1, slots_of(either))
        large = [await client.send(ProbeID.ECHO, {"name": "x" * 900_000}) for _ in range(4)]
        ping = await client.send(PING)
        order = [reply["req_id"] for reply in await receive(client, len(running) + 5)]
    assert set(order) == {*running, *large, ping}
    assert order.index(ping) > order.index(running[0])


async def test_a_frame_that_is_too_big_is_not_kept(either: Launched, token: str, second_door: Launched) -> None:
    if either is second_door:
        pytest.skip("it is refused while it arrives: tests/framework/sockets")
    async with packet_client(either.port, token) as client:
        running = await sleep(client, 25, slots_of(either))
        await client.send_frame("x" * 1_048_577)
        replies = {reply["req_id"]: reply["status_code"] for reply in await receive(client, len(running))}
        code, closing = await client.closed()
    assert (code, closing["reason"]) == (1009, "message_too_big")
    assert replies == dict.fromkeys(running, 8)


async def test_what_has_not_begun_when_the_token_expires_is_not_run(either: Launched, issuer: Issuer) -> None:
    async def expire(expires_at: int) -> None:
        async with packet_client(either.port, issuer.token(exp=expires_at)) as client:
            # Three times as long as the token lives.
            seconds = max(0.05, (expires_at - time.time()) / 20)
            batch = [
                {"pkg_id": ProbeID.SLEEP, "req_id": str(uuid4()), "data": {"seconds": seconds}, "timeout_ms": 20_000}
                for _ in range(60)
            ]
            await client.send_value(batch)
            await sleep(client, 25, slots_of(either) - 1)
            # The first of them waits for the batch, or for a slot, the others behind it.
            waiting = await sleep(client, 0, 3)
            frames: list[Any] = []
            while len(frames) < slots_of(either) + 3:
                frame = await client.receive()
                if isinstance(frame, list) or frame["pkg_id"] > 0:
                    frames.append(frame)
            code, closing = await client.closed()
        assert (code, closing["reason"]) == (4401, "token_expired")
        (answered,) = [frame for frame in frames if isinstance(frame, list)]
        singles = {frame["req_id"]: frame for frame in frames if not isinstance(frame, list)}
        statuses = [reply["status_code"] for reply in answered]
        assert len(statuses) == 60
        if 0 not in statuses:
            raise TooLateError
        assert statuses == [0] * statuses.count(0) + [9] * statuses.count(9)
        assert answered[-1]["data"]["code"] == "token_expired"
        assert {singles[req_id]["data"]["code"] for req_id in waiting} == {"token_expired"}
        assert {singles[req_id]["status_code"] for req_id in waiting} == {9}
        async with packet_client(either.port, issuer.token()) as other:
            told = (await other.ask(ProbeID.JOURNAL))["data"]
        begun = [line for line in told if line.startswith("begin")]
        assert not [line for line in begun for req_id in waiting if req_id in line]
        ended = [packet["req_id"] for packet, status in zip(batch, statuses, strict=True) if status == 0]
        assert not {line.removeprefix("begin ") for line in begun} & ({packet["req_id"] for packet in batch} - {*ended})

    await in_a_short_life(expire)


async def test_an_answer_beside_a_batch_lets_no_event_before_its_reply(either: Launched, token: str) -> None:
    room = uuid4().int % 10**9
    async with packet_client(either.port, token) as client, packet_client(either.port, token) as other:
        batch = [(SUBSCRIBE, {"topic": f"rooms.{room}"}), (ProbeID.SLEEP, {"seconds": 25})]
        ids = [str(uuid4()) for _ in batch]
        await client.send_value(
            [
                {"pkg_id": number, "req_id": req_id, "data": data}
                for req_id, (number, data) in zip(ids, batch, strict=True)
            ]
        )
        ping = await client.send(PING)
        assert (await client.receive())["req_id"] == ping
        # That answer may have come before SUBSCRIBE was run; presence follows it.
        present = await other.ask(PRESENCE, {"topic": f"rooms.{room}"})
        while not present["data"]["users"]:
            await asyncio.sleep(0.05)
            present = await other.ask(PRESENCE, {"topic": f"rooms.{room}"})
        assert (await other.ask(ProbeID.PUBLISH, {"topic": "rooms", "room": room}))["status_code"] == 0
        cancel = await client.send(CANCEL, {"req_id": ids[1]})
        assert (await client.receive())["req_id"] == cancel
        assert [reply["req_id"] for reply in await client.receive()] == ids
        assert (await client.next_push(ProbeID.ROOM_EVENT))["data"] == {"n": 1, "filler": ""}
