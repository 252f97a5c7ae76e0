"""``WS_MAX_PARALLEL`` above 1, over real sockets."""

from uuid import uuid4

import pytest

from starpost.testing.issuer import Issuer
from starpost.testing.launched import Launched
from starpost.testing.packet_client import NIL, PacketClient, packet_client
from tests.framework.connections.short_lives import in_a_short_life
from tests.framework.probe import ProbeID

PING, CANCEL = -1, -5

LONG = 25
"""Seconds that no test waits for."""


@pytest.fixture
def token(issuer: Issuer) -> str:
    return issuer.token(sub=str(uuid4()))


async def test_replies_come_as_they_are_ready(parallel: Launched, token: str) -> None:
    async with packet_client(parallel.port, token) as client:
        slow = await client.send(ProbeID.SLEEP, {"seconds": LONG})
        quick = await client.send(ProbeID.ECHO, {"name": "a"})
        assert (await client.receive())["req_id"] == quick
        await cancelled(client, slow)


async def cancelled(client: PacketClient, req_id: str) -> None:
    """Stop a packet that runs; its reply and that of CANCEL come in any order."""
    cancel = await client.send(CANCEL, {"req_id": req_id})
    replies = [await client.receive() for _ in range(2)]
    assert {reply["req_id"]: reply["status_code"] for reply in replies} == {cancel: 0, req_id: 8}


async def test_no_more_at_once_than_allowed(parallel: Launched, token: str) -> None:
    async with packet_client(parallel.port, token) as client:
        slow = [await client.send(ProbeID.SLEEP, {"seconds": LONG}) for _ in range(3)]
        fourth = await client.send(ProbeID.ECHO, {"name": "a"})
        ping = await client.send(PING)
        assert (await client.receive())["req_id"] == ping, "the fourth was read before, and waits"
        cancel = await client.send(CANCEL, {"req_id": slow[1]})
        replies = {reply["req_id"]: reply["status_code"] for reply in [await client.receive() for _ in range(3)]}
        assert replies == {cancel: 0, slow[1]: 8, fourth: 0}


async def test_a_lane_keeps_its_order(parallel: Launched, token: str) -> None:
    async with packet_client(parallel.port, token) as client:
        first = await client.send(ProbeID.SLEEP_IN_LANE, {"seconds": LONG, "lane": "a"})
        second = await client.send(ProbeID.SLEEP_IN_LANE, {"seconds": 0, "lane": "a"})
        other = await client.send(ProbeID.SLEEP_IN_LANE, {"seconds": 0, "lane": "b"})
        assert (await client.receive())["req_id"] == other
        cancel = await client.send(CANCEL, {"req_id": first})
        order = [(await client.receive())["req_id"] for _ in range(3)]
        assert [req_id for req_id in order if req_id != cancel] == [first, second]


async def test_batches_and_duplicates(parallel: Launched, token: str) -> None:
    async with packet_client(parallel.port, token) as client:
        slow = await client.send(ProbeID.SLEEP, {"seconds": LONG})
        again = await client.ask(ProbeID.ECHO, {"name": "a"}, req_id=slow)
        assert (again["status_code"], again["data"]["code"]) == (5, "duplicate_request")
        ids = [str(uuid4()) for _ in range(3)]
        await client.send_value(
            [
                {"pkg_id": ProbeID.SLEEP, "req_id": ids[0], "data": {"seconds": 0.1}},
                {"pkg_id": ProbeID.CRASH, "req_id": ids[1], "data": {"name": "a"}},
                {"pkg_id": ProbeID.ECHO, "req_id": ids[2], "data": {"name": "a"}},
            ]
        )
        batch = await client.receive()
        assert [reply["req_id"] for reply in batch] == ids
        assert [reply["status_code"] for reply in batch] == [0, 1, 0]
        await cancelled(client, slow)


async def test_cancel_and_timeout(parallel: Launched, token: str) -> None:
    async with packet_client(parallel.port, token) as client:
        slow = await client.send(ProbeID.SLEEP, {"seconds": LONG})
        limited = await client.send(ProbeID.SLEEP, {"seconds": LONG}, timeout_ms=300)
        cancel = await client.send(CANCEL, {"req_id": slow})
        replies = {reply["req_id"]: reply for reply in [await client.receive() for _ in range(3)]}
        assert replies[cancel]["status_code"] == 0
        assert {replies[slow]["status_code"], replies[limited]["status_code"]} == {8}
        assert (await client.ask(CANCEL, {"req_id": slow}))["status_code"] == 4
        assert (await client.ask(ProbeID.ECHO, {"name": "a"}))["status_code"] == 0


async def test_bad_frames_count_as_ever(parallel: Launched, token: str) -> None:
    async with packet_client(parallel.port, token) as client:
        for _ in range(10):
            await client.send_frame("{")
        assert (await client.closed())[0] == 4400


async def test_what_runs_is_finished_before_the_close(parallel: Launched, issuer: Issuer) -> None:
    async def expire(expires_at: int) -> None:
        async with packet_client(parallel.port, issuer.token(exp=expires_at)) as client:
            await client.ask(ProbeID.WHO)
            slow = await client.send(ProbeID.SLEEP, {"seconds": LONG})
            assert (await client.reply_to(slow))["status_code"] == 8
            assert (await client.closed())[0] == 4401

    await in_a_short_life(expire)


async def test_an_answer_to_the_heartbeat_is_not_answered(parallel: Launched, token: str) -> None:
    async with packet_client(parallel.port, token) as client:
        await client.send(PING, {}, req_id=NIL)
        own = await client.send(PING)
        assert (await client.receive())["req_id"] == own
