"""One receiver's fault does not reach the next. Nothing real fails so on demand, hence the receivers are made here."""

import asyncio
from typing import Any, cast
from uuid import uuid4

import msgspec
import pytest
from structlog.testing import capture_logs

from starpost.auth.principal import Principal
from starpost.connections.audiences import Audiences
from starpost.connections.connection import Connection
from starpost.connections.hub import ConnectionHub
from starpost.protocol.codecs import JSON, MSGPACK, Codec
from starpost.topics.event import Frames, Run
from starpost.topics.feed import TopicFeed
from starpost.topics.stream import Snapshot
from starpost.topics.subscription import Subscription
from starpost.topics.topic import Topic
from starpost.topics.watch import Watchers

TOPIC = Topic("numbers", event=dict[str, int], pkg_id=9)


class Client:
    """A connection, as far as pushes see it, and its outbox."""

    def __init__(self, codec: Codec = JSON, *, is_broken: bool = False) -> None:
        self.id = uuid4().hex
        self.codec = codec
        self.principal: Principal | None = Principal(
            user_id="u", username="ann", roles=frozenset({"reader"}), session_id=None, issued_at=0, expires_at=0
        )
        self.session_id = None
        self.outbox = self
        self.got: list[Any] = []
        self._is_broken = is_broken

    def push_events(self, run: Run, _: object) -> None:
        for parcel in run.parcels:
            self._take(parcel.first)

    def push_gap(self, _: object, first: int | None, last: int | None) -> None:
        self._take(("gap", first, last))

    def push_frames(self, frames: Frames) -> None:
        self._take(frames.of(self.codec))

    def tell(self, frames: Frames) -> None:
        self._take(frames.of(self.codec))

    def after_reply(self, call: Any) -> None:
        call()

    def _take(self, what: Any) -> None:
        if self._is_broken:
            raise RuntimeError("broken")
        self.got.append(what)


def feed_of(clients: list[Client]) -> TopicFeed:
    feed = TopicFeed(TOPIC, "numbers", cast("Any", None), asyncio.create_task)
    feed.epoch, feed.is_live = "e", True
    for client in clients:
        subscription = Subscription(client, feed)
        subscription.begin([])
        feed.receivers.add(subscription)
    return feed


def broken_among(count: int) -> list[Client]:
    # In the middle, of more than a few: a set has no order that could be relied on.
    return [Client(is_broken=n in (count // 2, count // 3)) for n in range(count)]


async def test_an_event_reaches_everybody_but_the_broken() -> None:
    clients = broken_among(12)
    feed = feed_of(clients)
    with capture_logs() as lines:
        feed.message(b'e 1 {"n":1}')
        feed.message(b'e 2 {"n":2}')
        await asyncio.sleep(0)
    assert [client.got for client in clients].count([1, 2]) == 10
    assert [line["event"] for line in lines].count("event_not_delivered") == 2, "once for both"


async def test_gaps_and_resets_reach_everybody_but_the_broken() -> None:
    clients = broken_among(12)
    feed = feed_of(clients)
    with capture_logs():
        feed._skip_to(3)
        feed._catch_up(Snapshot("f", 7, []), 0)
    assert [client.got for client in clients].count([("gap", 1, 3), ("gap", None, None)]) == 10


async def test_what_one_codec_cannot_write_is_a_gap_there_and_an_event_elsewhere() -> None:
    """MessagePack has no integers beyond 64 bits; JSON has."""
    json, msgpack = Client(JSON), Client(MSGPACK)
    feed = feed_of([json, msgpack])
    with capture_logs() as lines:
        feed.message(b'e 1 {"n":%d}' % 2**70)
        feed.message(b'e 2 {"n":2}')
        await asyncio.sleep(0)
    assert json.got == [1, 2]
    assert msgpack.got == [("gap", 1, 1), 2]
    assert [(line["event"], line["seq"]) for line in lines] == [("event_not_delivered", 1)]


def test_watchers_hear_of_changes_beside_a_broken_one() -> None:
    clients = broken_among(5)
    watchers = Watchers("numbers", -9)
    watchers.of_connection = cast("Any", {client.id: client for client in clients})
    with capture_logs() as lines:
        watchers.message(msgspec.msgpack.encode([["ann"], []]))
    assert [len(client.got) for client in clients].count(1) == 3
    assert [line["event"] for line in lines] == ["presence_not_told"] * 2


@pytest.mark.parametrize("kind", ["all", "user", "role"])
def test_audiences_hear_beside_a_broken_one(kind: str) -> None:
    heard: dict[str, Any] = {}

    class Broker:
        def join_audience(self, kind: str, _: str, receive: Any) -> None:
            heard[kind] = receive

    hub = ConnectionHub(heartbeat=30, heartbeat_timeout=10)
    audiences = Audiences(hub, cast("Any", Broker()), ["reader"])
    audiences.start()
    clients = broken_among(5)
    for client in clients:
        hub.add(cast("Connection", client))
        hub.identify(cast("Connection", client))
    with capture_logs() as lines:
        heard[kind](Frames(9, b"{}"))
    assert [len(client.got) for client in clients].count(1) == 3
    assert [line["event"] for line in lines] == ["push_not_delivered"] * 2
