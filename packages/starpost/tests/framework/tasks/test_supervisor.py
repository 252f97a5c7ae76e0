"""The supervisor: starts, restarts, stops; leases and Redis are real."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from litestar.di import Provide
from structlog.testing import capture_logs

from starpost.errors import UnavailableError
from starpost.redis import RedisClients
from starpost.tasks import BackgroundTask, Leases, Supervisor, plan_tasks, supervisor
from starpost_dev.services import Valkey
from tests.framework.tasks.conftest import connected, until


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "FIRST_PAUSE", 0.01)


@asynccontextmanager
async def supervised(
    clients: RedisClients,
    *tasks: BackgroundTask,
    providers: Mapping[str, Provide] | None = None,
    failed: list[str] | None = None,
    domain: str = "test",
) -> AsyncIterator[Supervisor]:
    planned, faults = plan_tasks([(domain, task) for task in tasks], providers or {})
    assert not faults
    running = Supervisor(
        planned,
        given={"publisher": "the publisher", "new_unit_of_work": None},
        leases=Leases(clients),
        on_failure=(failed if failed is not None else []).append,
    )
    await running.start()
    try:
        yield running
    finally:
        await running.stop()


async def test_a_task_that_fails_is_started_again(clients: RedisClients, capsys: pytest.CaptureFixture[str]) -> None:
    tries, failed = 0, list[str]()

    async def flaky() -> None:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise LookupError("not yet")
        await asyncio.Event().wait()

    async with supervised(clients, BackgroundTask(flaky), failed=failed) as running:
        await until(lambda: tries == 4, "the fourth try")
        assert running.running() == {"test.flaky": 1}
    assert failed == ["test.flaky"] * 3
    assert "task_failed" in capsys.readouterr().out


@pytest.mark.parametrize(("longest", "failures"), [(60.0, [1, 2, 3]), (0.0, [1, 1, 1])])
async def test_the_failure_of_a_run_that_has_lasted_is_the_first_of_a_new_row(
    clients: RedisClients, monkeypatch: pytest.MonkeyPatch, longest: float, failures: list[int]
) -> None:
    monkeypatch.setattr(supervisor, "LONGEST_PAUSE", longest)
    tries = 0

    async def failing() -> None:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise LookupError("no longer")
        await asyncio.Event().wait()

    with capture_logs() as lines:
        async with supervised(clients, BackgroundTask(failing)):
            await until(lambda: tries == 4, "the fourth try")
    assert [line["failures"] for line in lines if line["event"] == "task_failed"] == failures


async def test_a_cancellation_from_within_is_a_failure_like_another(clients: RedisClients) -> None:
    tries = 0

    async def unlucky() -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise asyncio.CancelledError
        await asyncio.Event().wait()

    async with supervised(clients, BackgroundTask(unlucky)):
        await until(lambda: tries == 2, "the second try")


async def test_a_task_that_returns_has_ended(clients: RedisClients) -> None:
    runs = 0

    async def once() -> None:
        nonlocal runs
        runs += 1

    async with supervised(clients, BackgroundTask(once)) as running:
        await until(lambda: runs, "the run")
        await asyncio.sleep(0.1)
        assert runs == 1
        assert running.running() == {"test.once": 0}


async def test_periodic_runs_do_not_overlap_and_go_on_after_a_failure(clients: RedisClients) -> None:
    runs = inside = most_inside = 0

    async def slow() -> None:
        nonlocal runs, inside, most_inside
        runs, inside = runs + 1, inside + 1
        most_inside = max(inside, most_inside)
        try:
            await asyncio.sleep(0.03)
            if runs == 2:
                raise LookupError("once")
        finally:
            inside -= 1

    async with supervised(clients, BackgroundTask(slow, every=0.01)):
        await until(lambda: runs >= 5, "five runs")
    assert most_inside == 1
    assert inside == 0


async def test_each_run_has_dependencies_of_its_own_and_ends_them(clients: RedisClients) -> None:
    journal: list[str] = []

    async def provide_session() -> AsyncGenerator[str, None]:
        number = sum(line.startswith("open") for line in journal)
        journal.append(f"open {number}")
        try:
            yield f"session {number}"
        except LookupError:
            journal.append(f"rolled back {number}")
            raise
        journal.append(f"commit {number}")

    async def work(session: str, publisher: str) -> None:
        journal.append(f"{session}, {publisher}")
        if session == "session 0":
            raise LookupError("undone")

    providers = {"session": Provide(provide_session)}
    async with supervised(clients, BackgroundTask(work, every=0.01), providers=providers):
        await until(lambda: "commit 1" in journal, "the second run")
    assert journal[:6] == [
        "open 0",
        "session 0, the publisher",
        "rolled back 0",
        "open 1",
        "session 1, the publisher",
        "commit 1",
    ]


async def test_tasks_stop_in_the_reverse_of_their_order_each_before_the_next(clients: RedisClients) -> None:
    journal: list[str] = []

    def task(name: str) -> BackgroundTask:
        async def run() -> None:
            journal.append(f"begin {name}")
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0.01)
                journal.append(f"end {name}")

        return BackgroundTask(run, name=name)

    async with supervised(clients, task("a"), task("b"), task("c")):
        await until(lambda: len(journal) == 3, "all began")
    assert journal == ["begin a", "begin b", "begin c", "end c", "end b", "end a"]


async def test_a_task_that_will_not_end_does_not_hold_up_the_stop(
    clients: RedisClients, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(supervisor, "STOP_SECONDS", 0.1)
    began, release, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def stubborn() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            await release.wait()
            ended.set()

    async with supervised(clients, BackgroundTask(stubborn)):
        await began.wait()
    assert not ended.is_set()
    assert "task_not_stopped" in capsys.readouterr().out
    release.set()
    await ended.wait()


async def test_a_vital_task_that_fails_is_told_to_readiness(clients: RedisClients) -> None:
    is_well = False
    runs = 0

    async def vital() -> None:
        nonlocal runs
        runs += 1
        if not is_well:
            raise LookupError("no")

    async def other() -> None:
        raise LookupError("nobody minds")

    async with supervised(
        clients, BackgroundTask(vital, every=0.01, is_vital=True), BackgroundTask(other, every=0.01)
    ) as running:
        await until(lambda: runs, "a failure")
        with pytest.raises(UnavailableError, match=r"test\.vital"):
            await running.check()
        is_well, runs = True, 0
        await until(lambda: runs > 1, "a success")
        await running.check()


async def test_a_vital_task_that_goes_on_after_a_failure_is_well_again(clients: RedisClients) -> None:
    tries = 0

    async def vital() -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise LookupError("once")
        await asyncio.Event().wait()

    async with supervised(clients, BackgroundTask(vital, is_vital=True)) as running:
        await until(lambda: tries == 2, "the second try")
        async with asyncio.timeout(100):
            while True:
                try:
                    await running.check()
                    break
                except UnavailableError:
                    await asyncio.sleep(0.01)


async def test_who_failed_and_waits_for_another_worker_to_end_is_not_failing(
    valkey: Valkey, clients: RedisClients
) -> None:
    domain, began, tries = uuid4().hex, asyncio.Event(), 0

    async def healthy() -> None:
        began.set()
        await asyncio.Event().wait()

    async def broken() -> None:
        nonlocal tries
        tries += 1
        raise LookupError("only here")

    def task(run: Any) -> BackgroundTask:
        return BackgroundTask(run, name="vital", once_per_cluster=True, lease=30.0, is_vital=True)

    async with supervised(clients, task(broken), domain=domain) as first:
        await until(lambda: tries, "a failure")
        async with connected(valkey) as others, supervised(others, task(healthy), domain=domain):
            await began.wait()
            async with asyncio.timeout(100):
                while True:
                    try:
                        await first.check()
                        break
                    except UnavailableError:
                        await asyncio.sleep(0.01)


async def test_of_two_workers_one_runs_a_task_of_the_cluster_and_the_other_follows(
    valkey: Valkey, clients: RedisClients
) -> None:
    ran: list[tuple[str, int]] = []
    domain = uuid4().hex

    def task(who: str) -> BackgroundTask:
        async def lead(lease: Any) -> None:
            ran.append((who, lease.fence))
            await asyncio.Event().wait()

        # Longer than a busy machine keeps an answer back: the leader would rightly let go.
        return BackgroundTask(lead, once_per_cluster=True, lease=4.0)

    async with connected(valkey) as others, supervised(others, task("b"), domain=domain) as second:
        async with supervised(clients, task("a"), domain=domain) as first:
            await until(lambda: ran, "a leader")
            await asyncio.sleep(5)
            assert len(ran) == 1
            assert sum(first.running().values()) + sum(second.running().values()) == 1
            if ran[0][0] == "b":
                await second.stop()
                await until(lambda: len(ran) == 2, "the follower")
        await until(lambda: len(ran) == 2, "the follower")
    assert {who for who, _ in ran} == {"a", "b"}
    assert ran[0][1] < ran[1][1]


async def test_a_change_of_the_worker_does_not_run_a_periodic_task_too_early(
    valkey: Valkey, clients: RedisClients
) -> None:
    ran: list[str] = []
    domain = uuid4().hex

    def task(who: str) -> BackgroundTask:
        async def hourly() -> None:
            ran.append(who)

        return BackgroundTask(hourly, every=3600, once_per_cluster=True, lease=1.0)

    async def noted() -> bool:
        return bool(await clients.main.exists(f"{clients.keys.lease(f'{domain}.hourly')}:last"))

    async with supervised(clients, task("a"), domain=domain):
        async with asyncio.timeout(100):
            while not await noted():  # noqa: ASYNC110 - it is in Redis
                await asyncio.sleep(0.01)
    async with connected(valkey) as others, supervised(others, task("b"), domain=domain) as second:
        await until(lambda: second.running() == {f"{domain}.hourly": 1}, "the second has the lease")
        await asyncio.sleep(0.2)
    assert ran == ["a"]
