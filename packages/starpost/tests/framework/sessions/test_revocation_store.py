"""Revocations in a real Redis."""

import time
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from starpost.auth.revocation import Revocation
from starpost.redis import RedisClients
from starpost.sessions.revocation_store import BATCH, RevocationStore
from starpost.settings import Settings
from starpost_dev.services.services import Services


@pytest.fixture
async def clients(services: Services) -> AsyncIterator[RedisClients]:
    """Of an application of its own."""
    clients = RedisClients(Settings.from_strings({**services.environment(), "REDIS_PREFIX": uuid4().hex}))
    yield clients
    await clients.close()


def revocation(name: str = "s1", *, seconds: float = 600, issued_before: float = 0.0) -> Revocation:
    return Revocation("session", name, issued_before, time.time() + seconds)


async def test_what_is_added_is_loaded(clients: RedisClients) -> None:
    store = RevocationStore(clients)
    added = [
        revocation('{"odd": "näme"}'),
        Revocation("user", "alice-id", 1_700_000_000.25, time.time() + 600.125),
        Revocation("username", "alice", 1_700_000_000.0, time.time() + 600),
    ]
    await store.add(added)
    await store.add(added)
    assert set(await RevocationStore(clients).load()) == set(added)
    assert len(await store.load()) == len(added)


async def test_nothing_is_there_at_first(clients: RedisClients) -> None:
    store = RevocationStore(clients)
    await store.add([])
    assert await store.load() == []


async def test_what_is_over_is_dropped(clients: RedisClients) -> None:
    store = RevocationStore(clients)
    lasting = revocation("lasting")
    await store.add([revocation("over", seconds=-1), lasting])
    assert await store.load() == [lasting]
    await store.add([])
    await store.add([lasting])
    key = clients.keys.revocations("entries")
    assert await clients.auth.zcard(key) == 1
    assert 500 < await clients.auth.ttl(key) <= 601


async def test_a_later_revocation_does_not_shorten_an_earlier_one(clients: RedisClients) -> None:
    store = RevocationStore(clients)
    longer = revocation("s1", seconds=600)
    await store.add([longer])
    await store.add([revocation("s1", seconds=60)])
    assert await store.load() == [longer]


async def test_a_token_counts_once(clients: RedisClients) -> None:
    store = RevocationStore(clients)
    first, second = revocation("s1"), revocation("s2")
    assert await store.add_once(first, "jti\n1", lifetime=60)
    assert not await store.add_once(first, "jti\n1", lifetime=60)
    assert await store.load() == [first]
    assert await store.add_once(second, "jti 2", lifetime=60)
    assert set(await store.load()) == {first, second}


async def test_a_token_that_came_before_is_kept_all_the_same(clients: RedisClients) -> None:
    store = RevocationStore(clients)
    await store.add_once(revocation("s1"), "j", lifetime=60)
    await clients.auth.delete(clients.keys.revocations("entries"))
    again = revocation("s1")
    assert not await store.add_once(again, "j", lifetime=60)
    assert await store.load() == [again]


async def test_a_token_is_remembered_as_long_as_it_lives(clients: RedisClients) -> None:
    store = RevocationStore(clients)
    await store.add_once(revocation(), "j", lifetime=60)
    keys = [key async for key in clients.auth.scan_iter(match=f"*{clients.keys.prefix}*token*")]
    assert [0 < await clients.auth.ttl(key) <= 60 for key in keys] == [True]


async def test_more_than_one_batch(clients: RedisClients) -> None:
    store = RevocationStore(clients)
    await store.add(revocation(f"s{n}") for n in range(2 * BATCH + 1))
    assert len(await store.load()) == 2 * BATCH + 1
