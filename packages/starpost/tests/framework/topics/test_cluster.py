"""Topics on a real cluster of three nodes: every shard has some of them, and one that is away takes only its own."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from starpost.redis import REDIS_FAULTS, RedisClients
from starpost.settings import Settings
from starpost.topics.broker import MAX_OUTGOING, Broker, Publisher
from starpost.topics.event import Events, Frames
from starpost.topics.feed import TopicFeed
from starpost.topics.stream import UNBORN, Snapshot, Streams
from starpost.topics.topic import Push, Topic
from starpost_dev.services import ValkeyCluster, ephemeral_valkey_cluster

PATIENCE = 100.0
TOPICS = 30


class Tick(msgspec.Struct):
    number: int


TICKS = Topic("ticks.{name}", event=Tick, pkg_id=1000, history=10_000)
NOTE = Push(pkg_id=1001, event=Tick)


class Log:
    """A receiver that keeps what it is given."""

    def __init__(self) -> None:
        self.seqs: list[int] = []
        self.gaps: list[tuple[int, int]] = []
        self.resets = 0

    def deliver(self, events: Events) -> None:
        self.seqs += range(events.first, events.last + 1)

    def gap(self, first: int, last: int) -> None:
        self.gaps.append((first, last))

    def reset(self, seq: int) -> None:  # noqa: ARG002 - a Receiver's
        self.resets += 1


@pytest.fixture(scope="module")
def cluster() -> Iterator[ValkeyCluster]:
    """A cluster for this module alone: its nodes are killed."""
    with ephemeral_valkey_cluster() as cluster:
        yield cluster


def settings_of(cluster: ValkeyCluster) -> Settings:
    return Settings(
        redis_mode="cluster",
        redis_nodes=tuple(f"{host}:{port}" for host, port in cluster.addresses),
        redis_password=cluster.password,  # type: ignore[arg-type]
    )


@asynccontextmanager
async def worker(cluster: ValkeyCluster) -> AsyncIterator[tuple[Broker, RedisClients]]:
    """What a worker has of Redis."""
    clients = RedisClients(settings_of(cluster))
    broker = Broker(clients)
    await broker.start()
    try:
        yield broker, clients
    finally:
        await broker.stop()
        await clients.close()


async def until(condition: Callable[[], Any], what: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - other processes change it
            await asyncio.sleep(0.02)


async def follow(broker: Broker, name: str) -> tuple[TopicFeed, Log]:
    feed, log = broker.feed(TICKS, TICKS.instance(name=name)), Log()
    feed.receivers.add(log)
    await feed.live(PATIENCE)
    return feed, log


async def shard_of(clients: RedisClients, cluster: ValkeyCluster, name: str) -> int:
    place = await clients.places()
    address = place(clients.keys.topic_channel(TICKS.instance(name=name)))
    assert address is not None
    return cluster.addresses.index((address.host, address.port))


async def test_topics_of_all_shards_reach_another_worker_in_order(cluster: ValkeyCluster) -> None:
    async with worker(cluster) as (here, clients), worker(cluster) as (there, _):
        names = [f"order-{number}" for number in range(TOPICS)]
        assert {await shard_of(clients, cluster, name) for name in names} == {0, 1, 2}
        logs = [(await follow(there, name))[1] for name in names]
        publisher = Publisher(here)
        for number in range(50):
            for name in names:
                publisher.publish(TICKS, Tick(number), name=name)
        await until(lambda: all(len(log.seqs) >= 50 for log in logs), "all events")
        assert all(log.seqs == list(range(1, 51)) and not log.gaps and not log.resets for log in logs)


async def test_pushes_and_control_messages_reach_another_worker(cluster: ValkeyCluster) -> None:
    async with worker(cluster) as (here, _), worker(cluster) as (there, _):
        got: list[Frames] = []
        told: list[Any] = []
        joined = asyncio.Event()
        there.on_control("greeting", told.append)
        there.on_control_joined(joined.set)
        there.join_audience("user", "alice", got.append)
        await asyncio.wait_for(joined.wait(), PATIENCE)
        here.tell("greeting", {"from": "here"}, about="here")
        await until(lambda: told, "a control message")
        assert told == [{"from": "here"}]

        def push_until_heard() -> bool:
            Publisher(here).to_user("alice", NOTE, Tick(1))
            return bool(got)

        await until(push_until_heard, "a push")


async def test_a_worker_subscribes_only_to_what_it_wants_and_leaves_again(
    cluster: ValkeyCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("starpost.topics.broker.LINGER", 0.0)

    def subscribed(channel: str) -> int:
        return sum(node.command("PUBSUB", "SHARDNUMSUB", channel)[1] for node in cluster.nodes)

    async with worker(cluster) as (broker, clients):
        feed, log = await follow(broker, "wanted")
        name = clients.keys.topic_channel(feed.name)
        assert subscribed(name) == 1
        feed.receivers.discard(log)
        broker.release(feed)
        await until(lambda: subscribed(name) == 0, "nobody is subscribed")
        # Left and wanted again at once: the later wish counts.
        feed, log = await follow(broker, "wanted")
        for _ in range(10):
            feed.receivers.discard(log)
            broker.release(feed)
            feed, log = await follow(broker, "wanted")
        Publisher(broker).publish(TICKS, Tick(1), name="wanted")
        await until(lambda: log.seqs, "the event")


async def test_thousands_who_read_at_once_all_get_an_answer(cluster: ValkeyCluster) -> None:
    async with worker(cluster) as (_, clients):
        streams = Streams(clients)
        read = await asyncio.gather(*(streams.read(f"ticks.{number}") for number in range(2000)))
        assert {snapshot.seq for snapshot in read} == {0}


async def test_connections_that_are_closed_while_they_are_used_are_a_fault_that_loops_expect(
    cluster: ValkeyCluster,
) -> None:
    async with worker(cluster) as (_, clients):
        streams = Streams(clients)
        for turn in range(30):
            reading = [asyncio.create_task(streams.read(f"ticks.closed-{number}")) for number in range(60)]
            for _ in range(turn):
                await asyncio.sleep(0)
            # What redis-py does when a shard says CLUSTERDOWN.
            await clients.main.aclose()
            outcomes = await asyncio.gather(*reading, return_exceptions=True)
            assert all(isinstance(outcome, (Snapshot, *REDIS_FAULTS)) for outcome in outcomes)


async def test_a_shard_is_lost_and_comes_back_while_events_flow(cluster: ValkeyCluster) -> None:
    async with worker(cluster) as (here, clients), worker(cluster) as (there, _):
        names = [f"lost-{number}" for number in range(TOPICS)]
        lost = 1
        away = {name for name in names if await shard_of(clients, cluster, name) == lost}
        assert 0 < len(away) < len(names)
        logs = {name: (await follow(there, name))[1] for name in names}
        publisher = Publisher(here)
        sent = 0

        def publish() -> None:
            nonlocal sent
            sent += 1
            for name in names:
                publisher.publish(TICKS, Tick(sent), name=name)

        def have_all(wanted: set[str]) -> Callable[[], bool]:
            return lambda: all(logs[name].seqs[-1:] == [sent] for name in wanted)

        publish()
        await until(have_all(set(names)), "the first event")
        await asyncio.to_thread(cluster.nodes[lost].kill)
        for _ in range(20):
            publish()
            await asyncio.sleep(0.01)
        await until(have_all(set(names) - away), "the events of the shards that are there")
        # A topic that nobody followed before, on a shard that is there, does not wait for the one that is away.
        shards = {f"new-{n}": await shard_of(clients, cluster, f"new-{n}") for n in range(30)}
        new = next(name for name, shard in shards.items() if shard != lost)
        _, log = await follow(there, new)
        publisher.publish(TICKS, Tick(0), name=new)
        await until(lambda: log.seqs, "an event of a new topic")

        await asyncio.to_thread(cluster.start_node, lost)
        publish()
        await until(have_all(set(names)), "the events of the shard that came back")
        for name in names:
            assert logs[name].seqs == list(range(1, sent + 1)), name
            assert not logs[name].gaps, name
            assert not logs[name].resets, name
        assert here.waiting == 0


async def test_control_messages_pass_beside_as_many_events_as_may_wait(cluster: ValkeyCluster) -> None:
    """A logout reaches the other workers although one topic's shard is away and nothing more may wait for it."""
    async with worker(cluster) as (here, clients), worker(cluster) as (there, _):
        told: list[Any] = []
        there.on_control("logout", told.append)
        await until(lambda: there.is_connected, "the control channel")
        control = (await clients.places())(clients.keys.control_channel())
        assert control is not None
        lost = (cluster.addresses.index((control.host, control.port)) + 1) % 3
        shards = {f"full-{n}": await shard_of(clients, cluster, f"full-{n}") for n in range(30)}
        name = next(name for name, shard in shards.items() if shard == lost)
        await asyncio.to_thread(cluster.nodes[lost].kill)
        try:
            publisher = Publisher(here)
            for number in range(MAX_OUTGOING + 1):
                publisher.publish(TICKS, Tick(number), name=name)
            assert here.waiting == MAX_OUTGOING, "one is lost already"
            for number in range(300):
                here.tell("logout", number, about=str(number))
            await until(lambda: len(told) == 300, "the control messages")
            assert told == list(range(300))
        finally:
            await asyncio.to_thread(cluster.start_node, lost)
        assert await here.flush(PATIENCE)


async def test_what_is_told_twice_while_nobody_hears_it_waits_once(cluster: ValkeyCluster) -> None:
    async with worker(cluster) as (here, clients), worker(cluster) as (there, _):
        told: list[Any] = []
        there.on_control("logout", told.append)
        await until(lambda: there.is_connected, "the control channel")
        place = (await clients.places())(clients.keys.control_channel())
        assert place is not None
        lost = cluster.addresses.index((place.host, place.port))
        await asyncio.to_thread(cluster.nodes[lost].kill)
        try:
            for number in range(1000):
                here.tell("logout", number, about="alice")
                # Begins to send the first, in vain: what is under way is not what comes after.
                await asyncio.sleep(0)
            assert here.waiting == 1
            here.tell("logout", 7, about="bob")
            assert here.waiting == 2
            await until(lambda: not there.is_connected, "the loss of the control channel")
        finally:
            await asyncio.to_thread(cluster.start_node, lost)
        await until(lambda: there.is_connected, "the control channel again")
        here.tell("logout", 8, about="carol")
        await until(lambda: told[-1:] == [8], "what was told last")
        assert here.waiting == 0
        # The first was under way when the others took its place; what came before they listened again is not heard.
        heard = list(dict.fromkeys(told))
        assert heard == [0, 999, 7, 8][-len(heard) :]


async def test_a_worker_that_starts_while_a_shard_is_away_serves_the_others(cluster: ValkeyCluster) -> None:
    lost = 2
    await asyncio.to_thread(cluster.nodes[lost].kill)
    for index, node in enumerate(cluster.nodes):
        if index != lost:
            # As after a restart: the servers know no script.
            node.command("SCRIPT", "FLUSH")
    async with worker(cluster) as (broker, clients):
        shards = {f"start-{n}": await shard_of(clients, cluster, f"start-{n}") for n in range(30)}
        name = next(name for name, shard in shards.items() if shard != lost)
        other = next(name for name, shard in shards.items() if shard == lost)
        waiting, waiting_log = broker.feed(TICKS, TICKS.instance(name=other)), Log()
        waiting.receivers.add(waiting_log)
        _, log = await follow(broker, name)
        publisher = Publisher(broker)
        publisher.publish(TICKS, Tick(1), name=other)
        publisher.publish(TICKS, Tick(1), name=name)
        await until(lambda: log.seqs == [1], "the event of a shard that is there")
        await asyncio.to_thread(cluster.start_node, lost)
        await until(lambda: waiting_log.seqs == [1] or waiting.seq == 1, "the event of the shard that came back")


async def test_numbers_that_were_lost_are_not_taken_for_those_that_replace_them(cluster: ValkeyCluster) -> None:
    async with worker(cluster) as (broker, clients):
        feed, log = await follow(broker, "back")
        epoch = feed.epoch
        publisher = Publisher(broker)
        for number in range(5):
            publisher.publish(TICKS, Tick(number), name="back")
        await until(lambda: log.seqs == [1, 2, 3, 4, 5], "the events")
        # As when a replica takes over that did not have the last ones.
        key = clients.keys.topic(feed.name, "meta")
        node = cluster.nodes[await shard_of(clients, cluster, "back")]
        node.command("HSET", key, "seq", "3")
        node.command("DEL", clients.keys.topic(feed.name, "events"))
        feed.lost()
        feed.joined()
        await feed.live(PATIENCE)
        assert log.resets == 1
        assert (feed.epoch, feed.seq) != (epoch, 5)
        publisher.publish(TICKS, Tick(9), name="back")
        await until(lambda: log.seqs[-1] == 4, "the event under a number that was used before")


async def test_a_clients_claim_does_not_begin_an_epoch(cluster: ValkeyCluster) -> None:
    async with worker(cluster) as (broker, clients):
        _, log = await follow(broker, "claim")
        Publisher(broker).publish(TICKS, Tick(1), name="claim")
        await until(lambda: log.seqs, "the event")
        streams = Streams(clients)
        epoch = (await streams.read("ticks.claim")).epoch
        assert epoch != UNBORN
        assert (await streams.read("ticks.claim", 2**53)).epoch == epoch


async def test_a_topic_without_events_is_not_written_and_its_first_event_is_no_loss(cluster: ValkeyCluster) -> None:
    async with worker(cluster) as (here, clients), worker(cluster) as (there, _):
        followed = [await follow(broker, "unborn") for broker in (here, there)]
        away, away_log = await follow(there, "away")
        promised = [feed.promised_epoch for feed, _ in (*followed, (away, away_log))]
        assert all(promised)
        node = cluster.nodes[await shard_of(clients, cluster, "unborn")]
        assert node.command("KEYS", "*unborn*") == []
        assert (await followed[1][0].recover(0, promised[1]))[1], "nothing was missed"
        assert not (await followed[1][0].recover(0, "another"))[1]

        # This worker hears nothing while the topic begins.
        away.lost()
        for number in range(3):
            for name in ("unborn", "away"):
                Publisher(here).publish(TICKS, Tick(number), name=name)
        for _, log in followed:
            await until(lambda log=log: log.seqs == [1, 2, 3], "the first events")  # type: ignore[misc]
        away.joined()
        await until(lambda: away_log.seqs == [1, 2, 3], "what had begun meanwhile")
        for log in (away_log, *(log for _, log in followed)):
            assert not log.gaps
            assert not log.resets

        # What clients were told before the first event is good on every worker, until the topic is lost.
        async with worker(cluster) as (other, _):
            feed, _ = await follow(other, "unborn")
            for epoch in (*promised[:2], feed.epoch, None):
                async with asyncio.timeout(PATIENCE):
                    while not (found := await feed.recover(1, epoch))[1]:  # noqa: ASYNC110 - Redis changes it
                        await asyncio.sleep(0.02)
                assert [seq for seq, _ in found[0].events] == [2, 3]
            assert not (await feed.recover(1, promised[2]))[1], "another topic's"
            node.command("HSET", clients.keys.topic(feed.name, "meta"), "epoch", "another life")
            assert not any([(await feed.recover(1, epoch))[1] for epoch in promised])


async def test_a_slot_that_moves_takes_its_channels_along(cluster: ValkeyCluster) -> None:
    async with worker(cluster) as (here, clients), worker(cluster) as (there, _):
        _, log = await follow(there, "moving")
        name = clients.keys.topic_channel(TICKS.instance(name="moving"))
        old = await shard_of(clients, cluster, "moving")
        new = (old + 1) % 3
        publisher = Publisher(here)
        publisher.publish(TICKS, Tick(1), name="moving")
        await until(lambda: log.seqs == [1], "the event before")

        slot = str(cluster.nodes[old].command("CLUSTER", "KEYSLOT", name))
        await asyncio.to_thread(move_slot, cluster, slot, old, new)

        publisher.publish(TICKS, Tick(2), name="moving")
        await until(lambda: log.seqs == [1, 2], "the event after")
        assert not log.gaps
        assert not log.resets
        assert cluster.nodes[new].command("PUBSUB", "SHARDNUMSUB", name)[1] == 1


def move_slot(cluster: ValkeyCluster, slot: str, old: int, new: int) -> None:
    """Move a slot with its keys, as ``valkey-cli --cluster reshard`` does."""
    source, target = cluster.nodes[old], cluster.nodes[new]
    source_id, target_id = source.command("CLUSTER", "MYID"), target.command("CLUSTER", "MYID")
    target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
    source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
    keys = source.command("CLUSTER", "GETKEYSINSLOT", slot, "100")
    migrate = ("MIGRATE", target.host, str(target.port), "", "0", "5000", "AUTH", cluster.password, "KEYS")
    source.command(*migrate, *keys)
    for node in (target, source):
        node.command("CLUSTER", "SETSLOT", slot, "NODE", target_id)
