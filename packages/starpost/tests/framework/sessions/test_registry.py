"""The registry on a real server, and on a real cluster."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import uuid4

import pytest

from starpost.auth.principal import Principal
from starpost.connections.registry import TooManyConnectionsError
from starpost.errors import UnavailableError
from starpost.redis import RedisClients
from starpost.sessions import registry as module
from starpost.sessions.registry import ConnectionEntry, RedisConnectionRegistry
from starpost.settings import Settings
from starpost_dev.services.ephemeral import ephemeral_valkey, ephemeral_valkey_cluster
from starpost_dev.services.valkey import Valkey
from tests.framework.hanging import hanging

NOW = datetime.now(UTC)
LIMIT = 3
LEASE = 60.0
"""Seconds, for which a busy machine lets no process wait."""
SHORT_LEASE = 2.0
"""Where a test waits for a renewal, a third of it later, or for its end."""


def principal(user: str, *, session: str | None = None) -> Principal:
    return Principal(
        user_id=f"{user}-id",
        username=user,
        roles=frozenset({"admin"}),
        issued_at=time.time(),
        expires_at=2_000_000_000,
        session_id=session,
    )


def new_id() -> str:
    return uuid4().hex


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    """A server for this module alone: it is stopped."""
    with ephemeral_valkey() as running:
        yield running


@pytest.fixture(scope="module", params=["single", "cluster"])
def redis(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """Settings of one server, and of a cluster."""
    if request.param == "single":
        yield request.getfixturevalue("valkey").endpoint.environment()
    else:
        with ephemeral_valkey_cluster() as cluster:
            nodes = ",".join(f"{host}:{port}" for host, port in cluster.addresses)
            yield {"REDIS_MODE": "cluster", "REDIS_NODES": nodes, "REDIS_PASSWORD": cluster.password}


class MakeWorker(Protocol):
    async def __call__(
        self, name: str = ..., *, is_running: bool = ..., lease: float = ...
    ) -> RedisConnectionRegistry: ...


async def workers_of(redis: dict[str, str]) -> AsyncIterator[MakeWorker]:
    """Make workers of one application; each application has names of its own."""
    prefix = f"test*[{uuid4().hex}]"
    async with AsyncExitStack() as stack:

        async def make(name: str = "one", *, is_running: bool = True, lease: float = LEASE) -> RedisConnectionRegistry:
            clients = RedisClients(Settings.from_strings({**redis, "REDIS_PREFIX": prefix}))
            stack.push_async_callback(clients.close)
            registry = RedisConnectionRegistry(clients, node="here", worker=name, limit=LIMIT, lease=lease)
            if is_running:
                await registry.start()
                stack.push_async_callback(registry.stop)
            return registry

        yield make


@pytest.fixture
async def worker(redis: dict[str, str]) -> AsyncIterator[MakeWorker]:
    async for make in workers_of(redis):
        yield make


@pytest.fixture
async def worker_of_valkey(valkey: Valkey) -> AsyncIterator[MakeWorker]:
    async for make in workers_of(valkey.endpoint.environment()):
        yield make


async def until(
    registry: RedisConnectionRegistry, is_right: Callable[[list[ConnectionEntry]], bool]
) -> list[ConnectionEntry]:
    deadline = time.monotonic() + 100
    while not is_right(found := await registry.entries()):
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.02)
    return found


async def test_what_is_entered_is_seen_by_every_worker(worker: MakeWorker) -> None:
    one, two = await worker("one"), await worker("two")
    await one.enter("c2", principal("bob", session="s"), NOW)
    await two.enter("c1", principal("alice{}%"), NOW)
    assert await one.entries() == await two.entries()
    found = await one.entries()
    assert [held.connection_id for held in found] == ["c1", "c2"]
    assert found[1] == ConnectionEntry(
        connection_id="c2",
        user="bob",
        user_id="bob-id",
        session_id="s",
        node="here",
        worker="one",
        since=NOW,
        expires_at=datetime.fromtimestamp(2_000_000_000, UTC),
    )
    assert await two.find("c2") == found[1]
    assert await two.find("c3") is None


async def test_the_limit_is_kept_by_redis(worker: MakeWorker) -> None:
    one, two = await worker("one"), await worker("two")
    outcomes = await asyncio.gather(
        *(registry.enter(new_id(), principal("alice"), NOW) for registry in (one, two) for _ in range(10)),
        return_exceptions=True,
    )
    assert outcomes.count(None) == LIMIT
    assert all(outcome is None or isinstance(outcome, TooManyConnectionsError) for outcome in outcomes)
    await one.enter(new_id(), principal("bob"), NOW)
    assert len(await two.entries()) == LIMIT + 1


async def test_who_leaves_makes_room(worker: MakeWorker) -> None:
    registry = await worker()
    ids = [new_id() for _ in range(LIMIT)]
    for connection_id in ids:
        await registry.enter(connection_id, principal("alice"), NOW)
    registry.leave(ids[0])
    registry.leave(ids[0])
    registry.leave("unknown")
    found = await until(registry, lambda found: len(found) == LIMIT - 1)
    assert {held.connection_id for held in found} == set(ids[1:])
    await registry.enter(new_id(), principal("alice"), NOW)


async def ends_of_leases(registry: RedisConnectionRegistry, *users: str) -> list[float]:
    """When the leases of these users end, as Redis has them."""
    redis: Any = registry._clients.auth
    leases = [await redis.zrange(registry._keys_of(f"{user}-id")[0], 0, -1, withscores=True) for user in users]
    return [end for lease in leases for _, end in lease]


async def until_renewed(registry: RedisConnectionRegistry, *users: str) -> None:
    """Wait until all these leases have been renewed."""
    before = max(await ends_of_leases(registry, *users))
    async with asyncio.timeout(100):
        while min(await ends_of_leases(registry, *users)) <= before:  # noqa: ASYNC110 - they are in Redis
            await asyncio.sleep(0.05)


async def test_leases_are_renewed(worker: MakeWorker) -> None:
    registry = await worker(lease=SHORT_LEASE)
    await registry.enter("c1", principal("alice"), NOW)
    for _ in range(2):
        await until_renewed(registry, "alice")
    await registry.check()


async def test_the_entries_of_a_dead_worker_end(worker: MakeWorker) -> None:
    # Dead, but not yet for as long as its lease: until then its entries count.
    dead, living = await worker("dead", is_running=False, lease=2 * SHORT_LEASE), await worker("living")
    for _ in range(LIMIT - 1):
        await dead.enter(new_id(), principal("alice"), NOW)
    await living.enter("c1", principal("alice"), NOW)
    with pytest.raises(TooManyConnectionsError):
        await living.enter(new_id(), principal("alice"), NOW)
    found = await until(living, lambda found: len(found) == 1)
    assert found[0].worker == "living"
    await living.enter(new_id(), principal("alice"), NOW)


async def test_a_replaced_token_is_noted(worker: MakeWorker) -> None:
    registry = await worker()
    await registry.enter("c1", principal("alice", session="old"), NOW)
    registry.update("c1", principal("alice", session="new"))
    registry.update("unknown", principal("alice"))
    (held,) = await until(registry, lambda found: found[0].session_id == "new")
    assert held.since == NOW


async def test_a_worker_that_stops_takes_its_entries_out(worker: MakeWorker) -> None:
    stopping, staying = await worker("stopping"), await worker("staying")
    await stopping.enter("c1", principal("alice"), NOW)
    await staying.enter("c2", principal("alice"), NOW)
    await stopping.stop()
    assert [held.connection_id for held in await staying.entries()] == ["c2"]


async def test_many_users(worker: MakeWorker) -> None:
    """More than one call, and more than one page of the scan, have room for."""
    count = module.USERS_PER_CALL * 3 + 7
    registry = await worker(lease=SHORT_LEASE)
    await asyncio.gather(*(registry.enter(f"c{n}", principal(f"user{n}"), NOW) for n in range(count)))
    await until_renewed(registry, *(f"user{n}" for n in range(count)))
    assert {held.connection_id for held in await registry.entries()} == {f"c{n}" for n in range(count)}
    for n in range(count):
        registry.leave(f"c{n}")
    await until(registry, lambda found: not found)


async def test_two_applications_do_not_see_each_other(redis: dict[str, str]) -> None:
    async for one in workers_of(redis):
        async for other in workers_of(redis):
            first, second = await one(), await other()
            for _ in range(LIMIT):
                await first.enter(new_id(), principal("alice"), NOW)
            await second.enter("c1", principal("alice"), NOW)
            assert [held.connection_id for held in await second.entries()] == ["c1"]
            assert len(await first.entries()) == LIMIT


# ---- connections that come together ----------------------------------------------------------------------------------


async def calls_of_scripts(registry: RedisConnectionRegistry) -> int:
    stats = await registry._clients.auth.info("commandstats")
    return sum(stats.get(f"cmdstat_{command}", {"calls": 0})["calls"] for command in ("eval", "evalsha"))


async def test_connections_that_come_together_share_a_call(worker_of_valkey: MakeWorker) -> None:
    registry = await worker_of_valkey(is_running=False)
    await registry.enter("first", principal("alice"), NOW)
    before = await calls_of_scripts(registry)

    await asyncio.gather(*(registry.enter(f"c{n}", principal(f"user{n}"), NOW) for n in range(module.USERS_PER_CALL)))

    assert await calls_of_scripts(registry) == before + 1
    assert len(await registry.entries()) == 1 + module.USERS_PER_CALL


async def test_connections_that_come_during_a_call_share_the_next(worker_of_valkey: MakeWorker, valkey: Valkey) -> None:
    registry = await worker_of_valkey(is_running=False)
    await registry.enter("first", principal("alice"), NOW)
    before = await calls_of_scripts(registry)
    with hanging(valkey):
        entering = []
        for n in range(10):
            entering.append(asyncio.create_task(registry.enter(f"c{n}", principal(f"user{n}"), NOW)))
            await asyncio.sleep(0.01)
    await asyncio.gather(*entering)

    assert await calls_of_scripts(registry) == before + 2


async def test_who_has_too_many_is_refused_alone(worker: MakeWorker) -> None:
    one, two = await worker("one"), await worker("two")
    for n in range(LIMIT):
        await one.enter(f"a{n}", principal("alice"), NOW)

    outcomes = await asyncio.gather(
        *(two.enter(f"{user}-{n}", principal(user), NOW) for n in (1, 2) for user in ("bob", "alice", "carol")),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes] == [type(None), TooManyConnectionsError, type(None)] * 2
    found = {held.connection_id for held in await one.entries()}
    assert found == {"a0", "a1", "a2", "bob-1", "bob-2", "carol-1", "carol-2"}


async def test_a_user_has_room_for_some_of_those_that_come_together(worker: MakeWorker) -> None:
    one, two = await worker("one"), await worker("two")
    await one.enter("a", principal("alice"), NOW)

    outcomes = await asyncio.gather(
        *(two.enter(f"a{n}", principal("alice"), NOW) for n in range(LIMIT)), return_exceptions=True
    )

    assert [type(outcome) for outcome in outcomes] == [type(None), type(None), TooManyConnectionsError]


async def test_what_redis_refuses_for_one_is_no_refusal_of_the_others(worker: MakeWorker) -> None:
    registry = await worker(is_running=False)
    await registry._clients.auth.set(registry._keys_of("alice-id")[0], "no sorted set")

    outcomes = await asyncio.gather(
        *(registry.enter(user, principal(user), NOW) for user in ("bob", "alice", "carol")), return_exceptions=True
    )

    assert [type(outcome) for outcome in outcomes] == [type(None), UnavailableError, type(None)]
    await registry._clients.auth.delete(registry._keys_of("alice-id")[0])
    assert {held.connection_id for held in await registry.entries()} == {"bob", "carol"}


async def test_who_leaves_before_the_call_is_not_entered(worker: MakeWorker) -> None:
    registry = await worker(is_running=False)
    gone = asyncio.create_task(registry.enter("gone", principal("alice"), NOW))
    there = asyncio.create_task(registry.enter("there", principal("alice"), NOW))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait([gone, there])

    assert gone.cancelled()
    assert [held.connection_id for held in await registry.entries()] == ["there"]


async def test_who_leaves_during_the_call_is_taken_out_again(worker: MakeWorker) -> None:
    registry = await worker()
    gone = asyncio.create_task(registry.enter("gone", principal("alice"), NOW))
    there = asyncio.create_task(registry.enter("there", principal("bob"), NOW))
    for _ in range(3):  # the call is on its way
        await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait([gone, there])

    assert gone.cancelled()
    await until(registry, lambda found: [held.connection_id for held in found] == ["there"])
    assert not registry._entering


# ---- Redis is away ---------------------------------------------------------------------------------------------------


async def test_nobody_is_let_in_while_redis_is_away(worker_of_valkey: MakeWorker, valkey: Valkey) -> None:
    registry = await worker_of_valkey()
    await registry.enter("c1", principal("alice"), NOW)
    await registry.enter("c2", principal("alice"), NOW)
    await asyncio.to_thread(valkey.kill)
    try:
        with pytest.raises(UnavailableError):
            await registry.enter("c3", principal("alice"), NOW)
        with pytest.raises(UnavailableError):
            await registry.entries()
        registry.leave("c2")
        deadline = time.monotonic() + 100
        while True:
            try:
                await registry.check()
            except UnavailableError:
                break
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
    finally:
        await asyncio.to_thread(valkey.start)
    found = await until(registry, lambda found: len(found) == 1)
    assert found[0].connection_id == "c1"
    await registry.enter("c4", principal("alice"), NOW)


async def test_what_redis_lost_is_entered_anew(worker_of_valkey: MakeWorker, valkey: Valkey) -> None:
    registry = await worker_of_valkey()
    for connection_id in ("c1", "c2", "c3"):
        await registry.enter(connection_id, principal("alice"), NOW)
    await asyncio.to_thread(valkey.command, "FLUSHALL")
    registry.renew_soon()
    found = await until(registry, lambda found: len(found) == LIMIT)
    assert {held.connection_id for held in found} == {"c1", "c2", "c3"}
    with pytest.raises(TooManyConnectionsError):
        await registry.enter("c4", principal("alice"), NOW)


async def test_a_lost_answer_leaves_nothing_behind(
    worker_of_valkey: MakeWorker, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis hangs, heeds the call when it goes on, and nobody waits for that any more."""
    registry = await worker_of_valkey()
    await registry.enter("c1", principal("alice"), NOW)
    monkeypatch.setattr(module, "ENTER_TIMEOUT", 0.1)
    with hanging(valkey):
        with pytest.raises(UnavailableError):
            await registry.enter("c2", principal("alice"), NOW)
        cancelled = asyncio.create_task(registry.enter("c3", principal("alice"), NOW))
        await asyncio.sleep(0)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
    found = await until(registry, lambda found: [held.connection_id for held in found] == ["c1"])
    assert len(found) == 1


async def test_who_comes_during_a_call_that_takes_too_long_waits_no_longer_than_it(
    worker_of_valkey: MakeWorker, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = await worker_of_valkey()
    await registry.enter("c1", principal("alice"), NOW)
    monkeypatch.setattr(module, "ENTER_TIMEOUT", 0.3)
    with hanging(valkey):
        first = asyncio.create_task(registry.enter("c2", principal("alice"), NOW))
        await asyncio.sleep(0.1)
        monkeypatch.setattr(module, "ENTER_TIMEOUT", 60.0)
        with pytest.raises(UnavailableError):
            await registry.enter("c3", principal("bob"), NOW)
        with pytest.raises(UnavailableError):
            await first
    await until(registry, lambda found: [held.connection_id for held in found] == ["c1"])
    await registry.enter("c4", principal("bob"), NOW)


async def test_a_fault_that_nobody_foresaw_does_not_end_the_renewing(
    worker_of_valkey: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = await worker_of_valkey(lease=SHORT_LEASE)
    await registry.enter("c1", principal("alice"), NOW)
    calls = 0
    renew = registry._renew

    async def fail_once(user_ids: list[str]) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise RuntimeError("nobody foresaw this")
        await renew(user_ids)

    monkeypatch.setattr(registry, "_renew", fail_once)
    # One that began before may end only now.
    while calls < 2:
        await until_renewed(registry, "alice")


async def test_one_user_waits_for_a_redis_that_hangs_with_no_more_connections_than_one_may_have(
    worker_of_valkey: MakeWorker, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = await worker_of_valkey()
    await registry.enter("c1", principal("alice"), NOW)
    monkeypatch.setattr(module, "ENTER_TIMEOUT", 60.0)
    with hanging(valkey):
        waiting = [asyncio.create_task(registry.enter(f"w{n}", principal("alice"), NOW)) for n in range(LIMIT - 1)]
        await asyncio.sleep(0)
        with pytest.raises(TooManyConnectionsError):
            await registry.enter("one too many", principal("alice"), NOW)
        others = asyncio.create_task(registry.enter("b1", principal("bob"), NOW))
        await asyncio.sleep(0)
        assert not others.done()
    await asyncio.gather(*waiting, others)
    registry.leave("w0")
    await until(registry, lambda found: len(found) == LIMIT)
    await registry.enter("again", principal("alice"), NOW)
