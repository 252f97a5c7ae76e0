"""The budget of a user over all workers, on a real Redis that is also killed."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from time import monotonic
from typing import Any
from uuid import uuid4

import pytest

from starpost.limits import SharedLimit, UserBudgets, shared
from starpost.limits.shared import INTERVAL, USERS_PER_CALL
from starpost.redis import RedisClients
from starpost.settings import Settings
from starpost.testing import Serve
from starpost.testing.issuer import Issuer
from starpost.testing.packet_client import PacketClient, packet_client
from starpost_dev.services import Valkey, ValkeyCluster, ephemeral_valkey, ephemeral_valkey_cluster
from tests.framework.probe import ProbeID

RATE = 400
BURST = 2 * RATE
PATIENCE = 100.0


class Worker:
    """What one worker has of the limit."""

    def __init__(self, clients: RedisClients, workers: int) -> None:
        self.failures = 0
        self.limit = SharedLimit(clients, RATE, worker=uuid4().hex, workers=workers, on_failure=self.fail)
        self.users = UserBudgets(0, self.limit)

    def fail(self) -> None:
        self.failures += 1

    async def flood(self, user_id: str, until: Callable[[int], bool]) -> int:
        """Ask for more than there is, until it is enough; how much there was."""
        served = 0
        while not until(served):
            budget = self.users.of(user_id)
            while not budget.take(monotonic()):
                served += 1
            await asyncio.sleep(0.005)
        return served


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    with ephemeral_valkey() as server:
        yield server


@pytest.fixture(scope="module")
def cluster() -> Iterator[ValkeyCluster]:
    with ephemeral_valkey_cluster() as cluster:
        yield cluster


@pytest.fixture(params=["single", "cluster"])
def settings(request: pytest.FixtureRequest) -> Settings:
    if request.param == "single":
        server: Valkey = request.getfixturevalue("valkey")
        return Settings(redis_port=server.port, redis_password=server.password)  # type: ignore[arg-type]
    nodes: ValkeyCluster = request.getfixturevalue("cluster")
    return Settings(
        redis_mode="cluster",
        redis_nodes=tuple(f"{host}:{port}" for host, port in nodes.addresses),
        redis_password=nodes.password,  # type: ignore[arg-type]
    )


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that comes late, as on a busy machine, is no failure."""
    monkeypatch.setattr(shared, "ANSWER_TIMEOUT", PATIENCE)


@asynccontextmanager
async def started(settings: Settings, count: int, *, workers: int = 1) -> AsyncIterator[list[Worker]]:
    """So many workers, each of which begins by taking ``workers`` for their number."""
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(count):
            clients = RedisClients(settings)
            stack.push_async_callback(clients.close)
            worker = Worker(clients, workers)
            await worker.limit.start()
            stack.push_async_callback(worker.limit.stop)
            made.append(worker)
        yield made


async def until(condition: Callable[[], Any], what: str) -> None:
    deadline = monotonic() + PATIENCE
    while not condition():
        assert monotonic() < deadline, f"not within {PATIENCE} s: {what}"
        await asyncio.sleep(0.01)


async def test_two_workers_together_have_one_budget(settings: Settings, patient: None) -> None:
    user = uuid4().hex
    async with started(settings, 2, workers=2) as workers:
        began = monotonic()
        served = await asyncio.gather(*(worker.flood(user, lambda _: monotonic() > began + 3) for worker in workers))
        # What they may not know of each other yet is an interval's worth.
        allowed = BURST + RATE * (monotonic() - began + 2 * INTERVAL)
        assert not any(worker.failures for worker in workers)
    assert sum(served) <= allowed
    assert min(served) > sum(served) / 4, "both have a part of it"


async def test_one_worker_alone_gives_the_user_all_of_it(settings: Settings) -> None:
    async with started(settings, 1, workers=8) as (worker,):
        began = monotonic()
        served = await worker.flood(uuid4().hex, lambda served: served > BURST + RATE or monotonic() > began + PATIENCE)
        taken = monotonic() - began
    by_number = (BURST + RATE * taken) / 8
    assert served > BURST + RATE > by_number
    assert served <= BURST + RATE * (taken + 2 * INTERVAL)


async def test_workers_count_each_other_and_who_stops_is_counted_no_more(
    settings: Settings, patient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "ROLL_CALL", 1.0)
    async with started(settings, 1) as (first,):
        async with started(settings, 2) as others:
            await until(lambda: max(worker.limit.workers for worker in others) == 3, "three workers")
        await first.limit._count()
        assert first.limit.workers == 1


async def test_many_users_are_reported_together(settings: Settings, patient: None) -> None:
    users = [uuid4().hex for _ in range(3 * USERS_PER_CALL)]
    async with started(settings, 2, workers=2) as (one, other):
        now = monotonic()
        for user in users:
            assert one.users.of(user).take(now, BURST // 2) == 0.0
        await until(lambda: not one.limit._due and not any(_share(one, user).spent for user in users), "all reported")
        # What the first worker spent is missed by the second once it has asked.
        for user in users:
            assert other.users.of(user).take(monotonic(), BURST // 8) == 0.0
        await until(lambda: not any(_share(other, user).is_due for user in users), "all corrected")
        left = {other.users.of(user).left(monotonic()) for user in users}
        assert max(left) <= BURST // 2 - BURST // 8 + RATE * (monotonic() - now)
        assert not one.failures + other.failures


def _share(worker: Worker, user: str) -> Any:
    return worker.users.of(user).share


async def test_who_spends_little_is_not_reported() -> None:
    worker = Worker(RedisClients(Settings()), workers=2)
    for _ in range(int(worker.limit.report_from) - 1):
        worker.users.of("modest").take(monotonic())
    assert not worker.limit._due
    worker.users.of("modest").take(monotonic())
    assert [share.user_id for share in worker.limit._due] == ["modest"]


async def test_without_redis_every_worker_has_its_part_and_no_more(valkey: Valkey) -> None:
    settings = Settings(redis_port=valkey.port, redis_password=valkey.password)  # type: ignore[arg-type]
    user = uuid4().hex
    async with started(settings, 2, workers=2) as workers:
        alone = workers[0]
        await alone.flood(user, lambda served: served > BURST)
        assert _share(alone, user).interval == 1 / RATE, "it has been given all"
        try:
            await asyncio.to_thread(valkey.kill)
            failed = [worker.failures for worker in workers]
            await asyncio.gather(
                *(
                    worker.flood(user, lambda _, worker=worker, at=at: worker.failures > at)  # type: ignore[misc]
                    for worker, at in zip(workers, failed, strict=True)
                )
            )
            assert [_share(worker, user).interval for worker in workers] == [2 / RATE] * 2
            began = monotonic()
            left = [worker.users.of(user).left(began) for worker in workers]
            served = await asyncio.gather(
                *(worker.flood(user, lambda _: monotonic() > began + 1.5) for worker in workers)
            )
            brought = RATE / 2 * (monotonic() - began) + 1
            assert all(count <= rest + brought for count, rest in zip(served, left, strict=True)), "let in uncounted"
            assert sum(left) <= BURST
            assert min(served) > 0, "nobody is locked out"
        finally:
            await asyncio.to_thread(valkey.start)
        failures = alone.failures
        await alone.flood(user, lambda _: _share(alone, user).interval == 1 / RATE or alone.failures > failures + 100)
        assert _share(alone, user).interval == 1 / RATE, "Redis is back, and nothing is left of the outage"


class Sockets:
    """Open sockets of one user, on both workers of a server."""

    def __init__(self, clients: list[PacketClient]) -> None:
        self.clients = clients

    async def flood(self, seconds: float) -> tuple[int, float]:
        """Ask on all of them for so long; how many packets were served, in how many seconds."""
        began = monotonic()
        served = await asyncio.gather(*(self._ask(client, began + seconds) for client in self.clients))
        return sum(served), monotonic() - began

    @staticmethod
    async def _ask(client: PacketClient, deadline: float) -> int:
        served = 0
        while monotonic() < deadline:
            reply = await client.ask(ProbeID.ECHO, {"name": "a"})
            served += reply["status_code"] == 0
            assert reply["status_code"] in {0, 6}
            # Not so fast that it is closed for being deaf.
            await asyncio.sleep(0.07)
        return served


async def test_sockets_on_two_workers_with_and_without_redis(serve: Serve, issuer: Issuer, valkey: Valkey) -> None:
    rate = 40
    server = serve(
        WORKERS="2", USER_RATE_LIMIT="0", WS_RATE_LIMIT="0", USER_RATE_LIMIT_SHARED=str(rate),
        **valkey.endpoint.environment(),
    )  # fmt: skip
    token = issuer.token(sub=str(uuid4()), realm_access={"roles": ["author-reader"]}, resource_access={})
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(packet_client(server.port, token)) for _ in range(12)]
        sockets = Sockets(clients)
        served, took = await sockets.flood(3)
        assert served <= 2 * rate + rate * (took + 2 * INTERVAL) + 1
        assert served > rate
        try:
            await asyncio.to_thread(valkey.kill)
            await sockets.flood(1)
            served, took = await sockets.flood(2)
            assert 0 < served <= rate * took + 2
            metrics = await asyncio.to_thread(server.get, "/metrics")
            failed = [line for line in metrics.text.splitlines() if line.startswith("shared_limit_failures_total")]
            assert sum(float(line.rpartition(" ")[2]) for line in failed) > 0
        finally:
            await asyncio.to_thread(valkey.start)
