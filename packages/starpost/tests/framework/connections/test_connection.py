"""A running connection, over real sockets: every row of the contract's tables."""

import asyncio
import json
import time
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from websockets.exceptions import ConnectionClosed

from starpost.testing import Serve
from starpost.testing.issuer import OTHER_RSA_KEY, Issuer
from starpost.testing.launched import Launched
from starpost.testing.packet_client import NIL, PATIENCE, PacketClient, packet_client
from tests.framework.connections.short_lives import in_a_short_life
from tests.framework.probe import ProbeID

PING, AUTH, CANCEL, TOKEN_EXPIRING = -1, -2, -5, -8
CODECS = pytest.mark.parametrize("codec", ["json", "msgpack"])


@pytest.fixture
def token(issuer: Issuer) -> str:
    return issuer.token(sub=str(uuid4()), realm_access={"roles": ["author-reader"]}, resource_access={})


@CODECS
async def test_replies(probe: Launched, token: str, codec: Any) -> None:
    """What a handler returns, and what becomes of what it raises."""
    async with packet_client(probe.port, token, codec=codec) as client:
        reply = await client.ask(ProbeID.ECHO, {"name": "a", "numbers": [1], "unknown": 3})
        assert reply["pkg_id"] == ProbeID.ECHO
        assert reply["status_code"] == 0
        assert reply["data"] == {"name": "a", "numbers": [1], "note": None}
        assert reply.keys() == {"pkg_id", "req_id", "status_code", "data"}

        page = await client.ask(ProbeID.PAGE)
        assert [item["name"] for item in page["data"]] == ["a", "b"]
        assert page["meta"] == {"page": 1, "per_page": 2, "total": 5, "pages": 3}

        refused = await client.ask(ProbeID.REFUSE, {"name": "x"})
        assert refused["status_code"] == 4
        assert refused["data"] == {"code": "not_found", "msg": "No x here", "retryable": False}

        crashed = await client.ask(ProbeID.CRASH, {"name": "x"})
        assert crashed["status_code"] == 1
        assert crashed["data"].keys() == {"code", "msg", "retryable", "incident"}
        assert "secret" not in json.dumps(crashed)
        (line,) = [line for line in probe.lines("packet_failed") if line["incident"] == crashed["data"]["incident"]]
        assert "the secret of the crash" in line["exception"]
        assert line["correlation_id"] == line["incident"]
        assert line["pkg_id"] == ProbeID.CRASH


@pytest.mark.parametrize("seconds", [0, 0.01], ids=["in its first step", "later"])
async def test_a_handler_whose_wait_is_cancelled_by_another_has_failed(
    either: Launched, token: str, seconds: float
) -> None:
    async with packet_client(either.port, token) as client:
        for _ in range(2):
            failed = await client.ask(ProbeID.AWAIT_CANCELLED, {"seconds": seconds})
            assert (failed["status_code"], failed["data"]["code"]) == (1, "internal")
        assert (await client.ask(ProbeID.ECHO, {"name": "a"}))["status_code"] == 0
    assert [line for line in either.lines("packet_failed") if line["incident"] == failed["data"]["incident"]]


async def test_extension_types_are_refused(probe: Launched, token: str) -> None:
    async with packet_client(probe.port, token, codec="msgpack") as client:
        for pkg_id in (PING, ProbeID.ECHO):
            reply = await client.ask(pkg_id, {"name": msgspec.msgpack.Ext(5, b"x")})
            assert (reply["status_code"], reply["data"].get("code")) == (2, "invalid_data")
        assert (await client.ask(PING, {"at": datetime(2026, 1, 1, tzinfo=UTC)}))["data"] == {
            "at": "2026-01-01T00:00:00Z"
        }


@CODECS
async def test_wrong_packets_are_answered(probe: Launched, token: str, codec: Any) -> None:
    async with packet_client(probe.port, token, codec=codec) as client:
        unknown = await client.ask(4711)
        assert (unknown["pkg_id"], unknown["status_code"]) == (4711, 1)
        assert unknown["data"]["code"] == "unknown_packet"
        assert unknown["data"]["msg"] == "No handler found for pkg_id 4711"

        denied = await client.ask(ProbeID.ADMIN_ONLY, "not even an object")
        assert (denied["status_code"], denied["data"]["code"]) == (3, "permission_denied")

        invalid = await client.ask(ProbeID.ECHO, {"name": "", "numbers": [1, "x", None]})
        assert (invalid["status_code"], invalid["data"]["code"]) == (2, "invalid_data")
        assert invalid["data"]["msg"] == "3 fields are invalid"
        assert [error["path"] for error in invalid["data"]["errors"]] == ["$.name", "$.numbers[1]", "$.numbers[2]"]

        absent: Any
        for absent in (None, {}):
            missing = await client.ask(ProbeID.ECHO, absent)
            assert missing["data"]["errors"] == [{"path": "$.name", "msg": "Required, and missing"}]

        for sent_by_server in (-6, -8):
            assert (await client.ask(sent_by_server))["data"]["code"] == "unknown_packet"


@CODECS
async def test_bad_envelopes_are_answered_with_what_could_be_read(probe: Launched, token: str, codec: Any) -> None:
    req_id = str(uuid4())
    cases: list[tuple[Any, int, str]] = [
        ({"req_id": req_id}, 0, req_id),
        ({"pkg_id": "x", "req_id": req_id}, 0, req_id),
        ({"pkg_id": 101}, 101, NIL),
        ({"pkg_id": 101, "req_id": "no-uuid"}, 101, NIL),
        ({"pkg_id": 2**40, "req_id": req_id}, 0, req_id),
        ({"pkg_id": 101, "req_id": req_id, "timeout_ms": -1}, 101, req_id),
        ("text", 0, NIL),
        (None, 0, NIL),
        ([], 0, NIL),
    ]
    async with packet_client(probe.port, token, codec=codec) as client:
        for value, pkg_id, expected_req_id in cases:
            await client.send_value(value)
            reply = await client.receive()
            assert (reply["pkg_id"], reply["req_id"], reply["status_code"]) == (pkg_id, expected_req_id, 2), value
            assert reply["data"]["code"] == "bad_envelope"
        assert (await client.ask(ProbeID.ECHO, {"name": "still here"}))["status_code"] == 0


async def test_bad_frames(probe: Launched, token: str) -> None:
    async with packet_client(probe.port, token) as client:
        for frame in ("{", "", b'{"pkg_id": 101}', "[" * 100_000):
            await client.send_frame(frame)
            reply = await client.receive()
            assert (reply["pkg_id"], reply["req_id"], reply["data"]["code"]) == (0, NIL, "bad_frame")
    async with packet_client(probe.port, token, codec="msgpack") as client:
        for frame in ("{}", b"\xc1"):
            await client.send_frame(frame)
            assert (await client.receive())["data"]["code"] == "bad_frame"


async def test_bad_frames_in_a_row_close(narrow: Launched, token: str) -> None:
    async with packet_client(narrow.port, token) as client:
        for _ in range(5):
            await _send_bad_frames(client, 2)
            await client.ask(ProbeID.ECHO, {"name": "good"})
        await _send_bad_frames(client, 3)
        code, closing = await client.closed()
    assert (code, closing["reconnect"]) == (4400, False)


async def _send_bad_frames(client: PacketClient, count: int) -> None:
    for _ in range(count):
        await client.send_frame("{")
        assert (await client.receive())["data"]["code"] == "bad_frame"


async def test_size(narrow: Launched, token: str) -> None:
    head, tail = f'{{"pkg_id": 101, "req_id": "{uuid4()}", "data": {{"name": "', '"}}'
    fits = head + "x" * (4000 - len(head + tail)) + tail
    async with packet_client(narrow.port, token) as client:
        await client.send_frame(fits)
        assert (await client.receive())["data"]["code"] == "invalid_data"
        # As many characters, more bytes.
        await client.send_frame(head + "é" * (4000 - len(head + tail)) + tail)
        code, closing = await client.closed()
    assert (code, closing["reason"], closing["reconnect"]) == (1009, "message_too_big", False)


@CODECS
async def test_batch(probe: Launched, token: str, codec: Any) -> None:
    ids = [str(uuid4()) for _ in range(4)]
    async with packet_client(probe.port, token, codec=codec) as client:
        await client.send_value(
            [
                {"pkg_id": ProbeID.ECHO, "req_id": ids[0], "data": {"name": "a"}},
                {"pkg_id": ProbeID.CRASH, "req_id": ids[1], "data": {"name": "a"}},
                {"pkg_id": "?", "req_id": ids[2]},
                {"pkg_id": PING, "req_id": ids[3], "data": {"n": 1}},
            ]
        )
        replies = await client.receive()
        assert [reply["req_id"] for reply in replies] == ids
        assert [reply["status_code"] for reply in replies] == [0, 1, 2, 0]
        one = {"pkg_id": PING, "req_id": NIL}
        await client.send_value([one] * 64)
        assert len(await client.receive()) == 64
        await client.send_value([one] * 65)
        assert (await client.receive())["data"]["code"] == "batch_too_large"


async def test_ping_is_echoed(probe: Launched, token: str) -> None:
    async with packet_client(probe.port, token) as client:
        reply = await client.ask(PING, {"any": ["thing"]})
        assert (reply["pkg_id"], reply["status_code"], reply["data"]) == (PING, 0, {"any": ["thing"]})


async def test_order_is_kept(probe: Launched, token: str) -> None:
    async with packet_client(probe.port, token) as client:
        first = await client.send(ProbeID.SLEEP, {"seconds": 0.3})
        others = [await client.send(ProbeID.ECHO, {"name": str(n)}) for n in range(30)]
        order = [(await client.receive())["req_id"] for _ in range(31)]
    assert order == [first, *others]


async def test_ping_and_cancel_are_heard_while_a_packet_runs(probe: Launched, token: str) -> None:
    async with packet_client(probe.port, token) as client:
        await client.ask(ProbeID.JOURNAL)
        slow = await client.send(ProbeID.SLEEP, {"seconds": 15})
        queued = await client.send(ProbeID.ECHO, {"name": "queued"})
        assert (await client.ask(PING, {"n": 1}))["data"] == {"n": 1}
        cancel = await client.send(CANCEL, {"req_id": slow})
        replies = {reply["req_id"]: reply for reply in [await client.receive() for _ in range(3)]}
        assert replies[cancel]["status_code"] == 0
        assert (replies[slow]["status_code"], replies[slow]["data"]["code"]) == (8, "timeout")
        assert replies[queued]["data"]["name"] == "queued"
        assert (await client.ask(CANCEL, {"req_id": slow}))["status_code"] == 4
        assert f"cancelled {slow}" in (await client.ask(ProbeID.JOURNAL))["data"]


async def test_a_connection_without_slow_packets_has_no_attendant(probe: Launched, token: str) -> None:
    """It is a fifth of a connection's memory, and of ten thousand connections most never need it."""
    async with packet_client(probe.port, token) as client:
        await client.ask(ProbeID.ECHO, {"name": "a"})
        held = (await client.ask(ProbeID.HELD))["data"]
        assert {"Outbox", "Intake", "Serial"} <= {*held}, "or the probe does not see what a connection holds"
        assert not {"Attendant", "Inbox"} & {*held}
        slow = await client.send(ProbeID.SLEEP, {"seconds": 25})
        await client.ask(PING)
        await client.ask(CANCEL, {"req_id": slow})
        await client.reply_to(slow)
        assert "Attendant" in (await client.ask(ProbeID.HELD))["data"]


async def test_a_cancel_cannot_stop_itself(either: Launched, token: str) -> None:
    own = str(uuid4())
    cancel = {"pkg_id": CANCEL, "req_id": own, "data": {"req_id": own}}
    async with packet_client(either.port, token) as client:
        assert (await client.ask(CANCEL, {"req_id": own}, req_id=own))["data"]["code"] == "not_found"
        await client.send_value([cancel, cancel])
        assert [reply["status_code"] for reply in await client.receive()] == [4, 4]
        # The running packet has this id, too; the other one stops it.
        await client.send(ProbeID.SLEEP, {"seconds": 15}, req_id=own)
        assert (await client.ask(CANCEL, {"req_id": own}))["status_code"] == 0
        assert (await client.reply_to(own))["status_code"] == 8


async def test_timeout_of_the_client(probe: Launched, token: str) -> None:
    async with packet_client(probe.port, token) as client:
        reply = await client.ask(ProbeID.SLEEP, {"seconds": 15}, timeout_ms=200)
        assert (reply["status_code"], reply["data"]["code"], reply["data"]["retryable"]) == (8, "timeout", True)
        batch = [
            {"pkg_id": ProbeID.SLEEP, "req_id": str(uuid4()), "data": {"seconds": 15}, "timeout_ms": 100},
            {"pkg_id": ProbeID.SLEEP, "req_id": str(uuid4()), "data": {"seconds": 0}},
        ]
        await client.send_value(batch)
        assert [reply["status_code"] for reply in await client.receive()] == [8, 0]


async def test_timeout_is_capped(hasty: Launched, token: str) -> None:
    async with packet_client(hasty.port, token) as client:
        for members in ({}, {"timeout_ms": 60_000}):
            assert (await client.ask(ProbeID.SLEEP, {"seconds": 15}, **members))["status_code"] == 8


async def test_timeout_ends_the_query_and_the_transaction(probe: Launched, token: str) -> None:
    running = "SELECT count(*) AS n FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND state <> 'idle'"
    running += " AND pid <> pg_backend_pid()"
    async with packet_client(probe.port, token) as client, packet_client(probe.port, token) as other:

        async def seen(count: int) -> None:
            while (await other.ask(ProbeID.QUERY, {"sql": running}))["data"] != [{"n": count}]:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

        asked = await client.send(ProbeID.QUERY, {"sql": "SELECT pg_sleep(60)"}, timeout_ms=2500)
        async with asyncio.timeout(PATIENCE):
            await seen(1)
        assert (await client.reply_to(asked))["status_code"] == 8
        # Without us it would go on for 30 s more, until PostgreSQL's own limit.
        async with asyncio.timeout(25):
            await seen(0)
        assert (await client.ask(ProbeID.QUERY, {"sql": "SELECT 1 AS one"}))["data"] == [{"one": 1}]


async def test_what_cannot_be_sent_or_is_refused_is_rolled_back(probe: Launched, token: str) -> None:
    async with packet_client(probe.port, token) as client:
        await client.ask(ProbeID.QUERY, {"sql": "CREATE TABLE IF NOT EXISTS probe_rows (name text)"})
        await client.ask(ProbeID.QUERY, {"sql": "DELETE FROM probe_rows"})
        assert (await client.ask(ProbeID.ERR_MSG, {"sql": "INSERT INTO probe_rows VALUES ('a')"}))["status_code"] == 1
        assert (await client.ask(ProbeID.UNENCODABLE, {"sql": "INSERT INTO probe_rows VALUES ('b')"}))["data"][
            "code"
        ] == "internal"
        assert (await client.ask(ProbeID.QUERY, {"sql": "SELECT * FROM probe_rows"}))["data"] == []
        await client.ask(ProbeID.QUERY, {"sql": "INSERT INTO probe_rows VALUES ('c')"})
        assert (await client.ask(ProbeID.QUERY, {"sql": "SELECT * FROM probe_rows"}))["data"] == [{"name": "c"}]


async def test_dependencies_live_for_one_packet(probe: Launched, token: str) -> None:
    async with packet_client(probe.port, token) as client:
        await client.ask(ProbeID.JOURNAL)
        told = (await client.ask(ProbeID.JOURNAL))["data"]
        assert told == ["finished", "opened"]


async def test_auth_replaces_the_token_of_the_same_user(probe: Launched, issuer: Issuer) -> None:
    reader = {"roles": ["author-reader"]}
    token = issuer.token(sub="u1", realm_access=reader, resource_access={})
    better = issuer.token(sub="u1", realm_access={"roles": ["author-reader", "admin"]}, sid="another")
    async with packet_client(probe.port, token) as client:
        assert (await client.ask(ProbeID.ADMIN_ONLY))["status_code"] == 3
        assert (await client.ask(AUTH, {"token": better}))["status_code"] == 0
        assert (await client.ask(ProbeID.ADMIN_ONLY))["status_code"] == 0
        other = await client.ask(AUTH, {"token": issuer.token(sub="u2")})
        assert (other["status_code"], other["data"]["code"]) == (9, "different_user")
        bad = await client.ask(AUTH, {"token": issuer.token(OTHER_RSA_KEY, sub="u1")})
        assert (bad["status_code"], bad["data"]["code"]) == (9, "invalid_token")
        assert (await client.ask(ProbeID.ADMIN_ONLY))["status_code"] == 0, "neither harmed the connection"


async def test_token_expiry_warns_then_closes(narrow: Launched, issuer: Issuer) -> None:
    async def expire(expires_at: int) -> None:
        async with packet_client(narrow.port, issuer.token(sub="expiring", exp=expires_at)) as client:
            await client.ask(ProbeID.WHO)
            warning = await client.next_push(TOKEN_EXPIRING)
            assert warning["data"].keys() == {"expires_at"}
            code, closing = await client.closed()
            assert time.time() >= expires_at
        assert (code, closing["reason"], closing["reconnect"]) == (4401, "token_expired", True)

    await in_a_short_life(expire)


async def test_nothing_is_sent_before_the_first_reply_even_near_the_expiry(probe: Launched, issuer: Issuer) -> None:
    """The warning, which comes 30 s before, is overdue."""
    async with packet_client(probe.port, issuer.token(exp=int(time.time()) + 20)) as client:
        await asyncio.sleep(0.3)
        req_id = await client.send(ProbeID.WHO)
        assert (await client.receive())["req_id"] == req_id
        assert (await client.receive())["pkg_id"] == TOKEN_EXPIRING


async def test_a_replaced_token_moves_the_expiry(probe: Launched, issuer: Issuer) -> None:
    async def outlive(expires_at: int) -> None:
        async with packet_client(probe.port, issuer.token(exp=expires_at)) as client:
            assert (await client.ask(AUTH, {"token": issuer.token(exp=expires_at + 300)}))["status_code"] == 0
            await asyncio.sleep(expires_at - time.time() + 0.5)
            assert (await client.ask(ProbeID.WHO))["status_code"] == 0

    await in_a_short_life(outlive)


async def test_heartbeat(wary: Launched, token: str) -> None:
    async with packet_client(wary.port, token) as silent, packet_client(wary.port, token) as answering:
        await silent.ask(ProbeID.WHO)
        await answering.ask(PING, {})
        for _ in range(4):
            ping = await answering.next_push(PING)
            await answering.send(PING, ping["data"], req_id=ping["req_id"])
        # It never spoke PING, so that it may be silent for ever; it is pinged all the same.
        await silent.next_push(PING)
        await silent.next_push(PING)
        assert (await silent.ask(ProbeID.WHO))["status_code"] == 0
        code, closing = await answering.closed()
    assert (code, closing["reason"], closing["reconnect"]) == (4408, "heartbeat_lost", True)


async def test_rate(serve: Serve, token: str) -> None:
    server = serve(WS_RATE_LIMIT="5")
    async with packet_client(server.port, token) as client:
        refused: list[Any] = []
        # Again, after a new burst, where the machine was so busy that tokens came back meanwhile.
        while not refused:
            # All at once: while each waited for its reply, the next would be allowed.
            asked = [await client.send(ProbeID.ECHO, {"name": "a"}) for _ in range(14)]
            replies = [await client.reply_to(req_id) for req_id in asked]
            refused = [reply for reply in replies if reply["status_code"] == 6]
            assert replies[0]["status_code"] == 0
            await asyncio.sleep(0 if refused else 2)
        assert refused[0]["data"]["code"] == "rate_limited"
        assert refused[0]["data"]["retryable"] is True
        assert 0 < refused[0]["data"]["retry_after"] <= 0.2
        await asyncio.sleep(refused[0]["data"]["retry_after"] + 0.1)
        assert (await client.ask(ProbeID.ECHO, {"name": "a"}))["status_code"] == 0
        for _ in range(60):
            await client.send(ProbeID.ECHO, {"name": "a"})
        assert (await client.closed())[0] == 4429


async def test_the_packets_of_a_batch_count_one_by_one(serve: Serve, token: str) -> None:
    server = serve(WS_RATE_LIMIT="5")
    async with packet_client(server.port, token) as client:
        packets = [{"pkg_id": ProbeID.ECHO, "req_id": str(uuid4()), "data": {"name": "a"}} for _ in range(12)]
        await client.send_value(packets)
        # Twice the rate in a burst; what the batch has beyond it is refused, and nothing else of it.
        replies = await client.receive()
        assert [reply["req_id"] for reply in replies] == [packet["req_id"] for packet in packets]
        assert [reply["status_code"] for reply in replies] == [0] * 10 + [6] * 2


async def test_a_client_that_goes_on_sending_sees_why_it_is_closed(serve: Serve, token: str) -> None:
    """A socket that is closed with unread data would be reset, and the code lost."""
    server = serve(WS_RATE_LIMIT="5")
    for _ in range(5):
        async with packet_client(server.port, token) as client:

            async def flood(client: PacketClient = client) -> None:
                for _ in range(400):
                    await client.send(ProbeID.ECHO, {"name": "a"})

            flooding = asyncio.create_task(flood())
            assert (await client.closed())[0] == 4429
            flooding.cancel()
            await asyncio.gather(flooding, return_exceptions=True)


async def test_a_client_that_does_not_read_is_closed(wary: Launched, token: str) -> None:
    async with packet_client(wary.port, token, max_queue=1) as stalled, packet_client(wary.port, token) as other:
        transport = stalled.socket.transport
        transport.pause_reading()
        for _ in range(8):
            await stalled.send(ProbeID.LARGE, {"size": 4_000_000})
        while not wary.lines("close_not_read"):
            await other.ask(ProbeID.ECHO, {"name": "a"})
            await asyncio.sleep(0.05)
        assert (await other.ask(ProbeID.ECHO, {"name": "a"}))["status_code"] == 0
        transport.resume_reading()
        with pytest.raises(ConnectionClosed):
            while True:
                await stalled.receive()


async def test_the_work_of_a_client_that_left_is_finished(probe: Launched, token: str) -> None:
    async with packet_client(probe.port, token) as other:
        told: list[str] = []

        async def until_told(line: str) -> None:
            async with asyncio.timeout(PATIENCE):
                while line not in told:
                    told.extend((await other.ask(ProbeID.JOURNAL))["data"])
                    await asyncio.sleep(0.02)

        async with packet_client(probe.port, token) as client:
            req_id = await client.send(ProbeID.SLEEP, {"seconds": 0.5})
            await until_told(f"begin {req_id}")
        await until_told(f"end {req_id}")


async def test_messagepack_data_that_is_no_text(probe: Launched, token: str) -> None:
    """Invalid UTF-8 deep inside is found only when the payload is decoded; it is answered like any bad frame."""
    async with packet_client(probe.port, token, codec="msgpack") as client:
        packet = msgspec.msgpack.encode({"pkg_id": 101, "req_id": str(uuid4()), "data": {"name": "xyz"}})
        # No hexadecimal digits, so that the `req_id` has none of it.
        await client.send_frame(packet.replace(b"xyz", b"\xff\xfe\xfd"))
        reply = await client.receive()
        assert (reply["status_code"], reply["data"]["code"]) == (2, "bad_frame")
