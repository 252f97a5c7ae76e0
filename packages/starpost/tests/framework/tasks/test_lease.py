"""Leases, on a real server that is also killed."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest

from starpost.redis import RedisClients
from starpost.tasks.lease import Lease, Leases
from starpost_dev.services import Valkey
from tests.framework.tasks.conftest import connected, until


@pytest.fixture
def name() -> str:
    return uuid4().hex


class Workers:
    """What each of several holders does, and that no two do it at once."""

    def __init__(self) -> None:
        self.held: list[tuple[str, Lease]] = []
        self.inside: set[str] = set()
        self.most_inside = 0

    def work(self, who: str, end: asyncio.Event) -> Callable[[Lease], Awaitable[None]]:
        async def work(lease: Lease) -> None:
            self.held.append((who, lease))
            self.inside.add(who)
            self.most_inside = max(self.most_inside, len(self.inside))
            try:
                await end.wait()
            finally:
                self.inside.discard(who)

        return work


async def test_one_holds_it_the_next_follows_with_a_greater_number(clients: RedisClients, name: str) -> None:
    workers, ends = Workers(), [asyncio.Event() for _ in range(3)]
    tasks = [
        asyncio.create_task(Leases(clients).hold(name, 4.0, workers.work(str(number), end)))
        for number, end in enumerate(ends)
    ]
    for count in range(1, 4):
        await until(lambda: len(workers.held) == count, f"holder {count}")  # noqa: B023 - waited for here
        ends[int(workers.held[-1][0])].set()
    await asyncio.gather(*tasks)
    assert workers.most_inside == 1
    fences = [lease.fence for _, lease in workers.held]
    assert fences == sorted(set(fences))
    assert await clients.main.get(clients.keys.lease(name)) is None


async def test_it_is_kept_for_longer_than_its_length(clients: RedisClients, name: str) -> None:
    workers, end = Workers(), asyncio.Event()
    first = asyncio.create_task(Leases(clients).hold(name, 4.0, workers.work("a", end)))
    await until(lambda: workers.inside == {"a"}, "the first holder")
    second = asyncio.create_task(Leases(clients).hold(name, 4.0, workers.work("b", end)))
    # Longer than one lease, which is longer than a busy machine keeps an answer back.
    await asyncio.sleep(4.5)
    assert [who for who, _ in workers.held] == ["a"]
    end.set()
    await asyncio.gather(first, second)


async def test_what_the_work_raises_is_raised_and_the_lease_is_free(clients: RedisClients, name: str) -> None:
    async def fail(_: Lease) -> None:
        raise LookupError("broken")

    with pytest.raises(LookupError, match="broken"):
        await Leases(clients).hold(name, 1.0, fail)
    assert await clients.main.get(clients.keys.lease(name)) is None


async def test_a_holder_that_is_cancelled_ends_its_work_first_and_gives_it_back(
    clients: RedisClients, name: str
) -> None:
    workers = Workers()
    holder = asyncio.create_task(Leases(clients).hold(name, 30.0, workers.work("a", asyncio.Event())))
    await until(lambda: workers.inside, "the holder")
    holder.cancel()
    with pytest.raises(asyncio.CancelledError):
        await holder
    assert not workers.inside
    assert await clients.main.get(clients.keys.lease(name)) is None


async def test_a_holder_whose_lease_is_anothers_is_cancelled(clients: RedisClients, name: str) -> None:
    workers = Workers()
    holder = asyncio.create_task(Leases(clients).hold(name, 1.0, workers.work("a", asyncio.Event())))
    await until(lambda: workers.inside, "the holder")
    # As after Redis came back without its data, and somebody else was first.
    await clients.main.set(clients.keys.lease(name), "another")
    await until(lambda: not workers.inside, "the end of its work")
    assert await clients.main.get(clients.keys.lease(name)) == b"another"
    await clients.main.delete(clients.keys.lease(name))
    await until(lambda: len(workers.held) == 2, "the lease again")
    assert workers.held[1][1].fence > workers.held[0][1].fence
    holder.cancel()
    await asyncio.gather(holder, return_exceptions=True)


async def test_a_dead_holder_is_followed_when_its_lease_is_over(
    valkey: Valkey, clients: RedisClients, name: str
) -> None:
    workers = Workers()
    end = asyncio.Event()
    # Nobody renews this one.
    async with connected(valkey) as dead:
        lease, _ = await Leases(dead)._wait_for(name, 2.0)
    assert await clients.main.pttl(clients.keys.lease(name)) > 0
    follower = asyncio.create_task(Leases(clients).hold(name, 1.0, workers.work("b", end)))
    await until(lambda: workers.inside, "the follower")
    assert workers.held[0][1].fence > lease.fence
    end.set()
    await follower


async def test_the_work_is_cancelled_before_a_lease_that_cannot_be_renewed_is_over(
    valkey: Valkey, clients: RedisClients, name: str
) -> None:
    workers = Workers()
    holder = asyncio.create_task(Leases(clients).hold(name, 1.5, workers.work("a", asyncio.Event())))
    await until(lambda: workers.inside, "the holder")
    await asyncio.to_thread(valkey.kill)
    await until(lambda: not workers.inside, "the end of its work")
    await asyncio.to_thread(valkey.start)
    await until(lambda: len(workers.held) == 2, "the lease again")
    assert workers.held[1][1].fence > workers.held[0][1].fence
    holder.cancel()
    await asyncio.gather(holder, return_exceptions=True)


async def test_a_restart_of_redis_that_is_shorter_than_the_lease_is_not_noticed(
    valkey: Valkey, clients: RedisClients, name: str
) -> None:
    workers, end = Workers(), asyncio.Event()
    holder = asyncio.create_task(Leases(clients).hold(name, 20.0, workers.work("a", end)))
    await until(lambda: workers.inside, "the holder")
    await asyncio.to_thread(valkey.restart)
    assert await clients.main.get(clients.keys.lease(name)) == workers.held[0][1].token.encode()
    end.set()
    await holder
    assert len(workers.held) == 1


async def test_a_number_that_redis_has_lost_is_not_given_again(clients: RedisClients, name: str) -> None:
    leases = Leases(clients)
    first, _ = await leases._wait_for(name, 1.0)
    await clients.main.delete(clients.keys.lease(name), f"{clients.keys.lease(name)}:fence")
    second, _ = await leases._wait_for(name, 1.0)
    assert second.fence > first.fence


async def test_the_next_holder_knows_of_the_last_run(clients: RedisClients, name: str) -> None:
    leases = Leases(clients)
    lease, _ = await leases._wait_for(name, 30.0)
    assert lease.since_last_run is None
    await leases.note_run(lease, began=40.0, keep=100.0)
    await leases._give_back(lease)
    following, _ = await leases._wait_for(name, 30.0)
    assert following.since_last_run is not None
    assert following.since_last_run >= 40.0
    # Who has lost the lease says nothing any more.
    await leases.note_run(lease, began=0.0, keep=100.0)
    await leases._give_back(following)
    assert ((await leases._wait_for(name, 30.0))[0].since_last_run or 0.0) >= 40.0
