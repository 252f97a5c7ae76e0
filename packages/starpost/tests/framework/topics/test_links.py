"""Links to a real server that has nothing to say, and to one that is stopped."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from starpost.redis import RedisClients
from starpost.settings import Settings
from starpost.topics.broker import Broker
from starpost.topics.feed import TopicFeed
from starpost.topics.topic import Topic
from starpost_dev.services import Valkey, ephemeral_valkey
from tests.framework.topics.test_hub import until

NUMBERS = Topic("numbers", event=dict[str, int], pkg_id=9)


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    with ephemeral_valkey() as running:
        yield running


@asynccontextmanager
async def joined(valkey: Valkey) -> AsyncIterator[TopicFeed]:
    """The feed of a topic that is joined."""
    clients = RedisClients(Settings.from_strings(valkey.endpoint.environment()))
    broker = Broker(clients)
    await broker.start()
    try:
        feed = broker.feed(NUMBERS, "numbers")
        await until(lambda: feed.is_live)
        yield feed
    finally:
        await broker.stop()
        await clients.close()


def of_server(valkey: Valkey, section: str, pattern: str) -> int:
    """A number that the server tells of itself; 0 if it does not."""
    told: Any = valkey.command("INFO", section)
    found = re.search(pattern, told.decode() if isinstance(told, bytes) else told)
    return int(found[1]) if found else 0


async def test_a_server_that_answers_is_not_left(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("starpost.topics.links.SILENCE", 0.5)
    with capture_logs() as lines:
        async with joined(valkey) as feed:
            await until(lambda: of_server(valkey, "commandstats", r"cmdstat_ping:calls=(\d+)") > 2)
            assert feed.is_live
    assert not [line for line in lines if line["event"] == "redis_link_lost"]


async def test_a_server_that_is_silent_is_left_and_joined_again(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("starpost.topics.links.SILENCE", 0.1)
    process = of_server(valkey, "server", r"process_id:(\d+)")
    with capture_logs() as lines:
        async with joined(valkey) as feed:
            os.kill(process, signal.SIGSTOP)
            try:
                await until(lambda: not feed.is_live)
            finally:
                os.kill(process, signal.SIGCONT)
            await until(lambda: feed.is_live)
    assert [line for line in lines if line["event"] == "redis_link_lost"]


async def test_a_connection_that_is_cut_is_made_anew(valkey: Valkey) -> None:
    with capture_logs() as lines:
        async with joined(valkey) as feed:
            await asyncio.to_thread(valkey.command, "CLIENT", "KILL", "TYPE", "pubsub")
            await until(lambda: any(line["event"] == "redis_link_lost" for line in lines))
            await until(lambda: feed.is_live)
            await feed._streams.publish("numbers", [b'{"n":1}'], sender="s", batch=1, history=0)
            await until(lambda: feed.seq == 1)
