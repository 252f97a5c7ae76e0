"""Supervisor of one worker's background tasks: starts them in order, restarts them, and stops them in reverse."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import structlog

from starpost.backoff import Backoff
from starpost.errors import UnavailableError
from starpost.observability import correlation
from starpost.observability.correlation import Correlation
from starpost.tasks.lease import Lease, Leases
from starpost.tasks.planning import PlannedTask
from starpost.tasks.task import BackgroundTask

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 60.0
"""Longest pause, in seconds, before a failed task is tried again; pauses are doubled up to it. A long-running task that
has lasted this long counts as healthy again."""

STOP_SECONDS: Final = 5.0
"""Time, in seconds, for all tasks to end; well below the launcher's limit for a worker that shuts down."""

log = structlog.get_logger(__name__)


class TaskCorrelation(Correlation):
    """Correlation of one run of a task."""

    task: str

    def fields(self) -> Mapping[str, Any]:
        """Return the fields that each of its log lines has."""
        return {"correlation_id": self.id, "task": self.task}


class Supervisor:
    """Supervisor of one worker's tasks.

    Args:
        tasks: Tasks in the order in which they start.
        given: Values for the names of ``GIVEN``, except the lease.
        leases: Leases for tasks that run once per cluster.
        on_failure: Called with the name of a task that has failed.
    """

    def __init__(
        self,
        tasks: Sequence[PlannedTask],
        *,
        given: Mapping[str, Any],
        leases: Leases,
        on_failure: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._tasks = [_Supervised(planned, given, leases, on_failure) for planned in tasks]

    def running(self) -> dict[str, int]:
        """Return 1 by name for each task that runs here now, 0 for one that waits for its lease or after a failure."""
        return {supervised.name: int(supervised.is_running) for supervised in self._tasks}

    async def check(self) -> None:
        """Check that no vital task is failing.

        Raises:
            UnavailableError: Vital tasks are failing; the message names them.
        """
        failing = [task.name for task in self._tasks if task.is_vital and task.is_failing]
        if failing:
            raise UnavailableError(f"Failing: {', '.join(failing)}")

    async def start(self) -> None:
        """Start the tasks without waiting for them."""
        for supervised in self._tasks:
            supervised.start()

    async def stop(self) -> None:
        """Cancel the tasks one after the other, last first, within ``STOP_SECONDS`` in all."""
        loop = asyncio.get_running_loop()
        until = loop.time() + STOP_SECONDS
        for supervised in reversed(self._tasks):
            await supervised.stop(max(0.0, until - loop.time()))


class _Supervised:
    """Task under supervision."""

    def __init__(
        self, planned: PlannedTask, given: Mapping[str, Any], leases: Leases, on_failure: Callable[[str], None]
    ) -> None:
        self.name = planned.name
        self.is_running = False
        self._planned = planned
        self._task: BackgroundTask = planned.task
        self._given = given
        self._leases = leases
        self._on_failure = on_failure
        self._runner: asyncio.Task[None] | None = None
        self._backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        self._is_pausing = False
        self._running_since = 0.0

    @property
    def is_failing(self) -> bool:
        """True if its last run failed and none has succeeded since. A task that waits for a lease is not failing."""
        if not self._backoff.failures or self._is_pausing or not self.is_running:
            return self._is_pausing
        lasted = asyncio.get_running_loop().time() - self._running_since
        # A periodic task is healthy again when a run has ended, see `_repeat`.
        return self._task.every is not None or lasted < self._backoff.bound

    @property
    def is_vital(self) -> bool:
        return self._task.is_vital

    def start(self) -> None:
        self._runner = asyncio.create_task(self._supervise(), name=f"task-{self.name}")

    async def stop(self, patience: float) -> None:
        if self._runner is None or self._runner.done():
            return
        self._runner.cancel()
        await asyncio.wait({self._runner}, timeout=patience)
        if not self._runner.done():
            log.error("task_not_stopped", task=self.name, seconds=round(patience, 1))

    async def _supervise(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                await self._hold()
            except asyncio.CancelledError as error:
                if _is_being_cancelled():
                    raise
                # The task awaited something that was cancelled; the task itself was not.
                pause = self._failed(error, loop.time() - began)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is logged and tried again
                pause = self._failed(error, loop.time() - began)
            else:
                log.info("task_ended", task=self.name)
                return
            self._is_pausing = True
            await asyncio.sleep(pause)
            self._is_pausing = False

    def _failed(self, error: BaseException, lasted: float) -> float:
        """Report a failure, and return the seconds to wait before the next try."""
        if lasted > LONGEST_PAUSE:
            self._backoff.reset()
        pause = self._backoff.fail()
        self._on_failure(self.name)
        log.error("task_failed", task=self.name, failures=self._backoff.failures, exc_info=error)
        return pause if self._task.every is None else min(pause, self._task.every)

    async def _hold(self) -> None:
        if self._task.once_per_cluster:
            # After a failure the lease is released, since another worker may succeed.
            await self._leases.hold(self.name, self._task.lease, self._run_under)
        else:
            await self._run_under(None)

    async def _run_under(self, lease: Lease | None) -> None:
        self.is_running = True
        self._running_since = asyncio.get_running_loop().time()
        try:
            if self._task.every is None:
                await self._run(lease)
            else:
                await self._repeat(self._task.every, lease)
        finally:
            self.is_running = False

    async def _repeat(self, every: float, lease: Lease | None) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        if lease is not None and lease.since_last_run is not None:
            due += max(0.0, every - lease.since_last_run)
        while True:
            await asyncio.sleep(max(0.0, due - loop.time()))
            began = loop.time()
            await self._run(lease)
            self._backoff.reset()
            if lease is not None:
                await self._leases.note_run(lease, began=loop.time() - began, keep=every)
            # Missed runs are skipped.
            due = max(due + every, loop.time())

    async def _run(self, lease: Lease | None) -> None:
        """Run the task once, with dependencies of its own."""
        correlation.enter(TaskCorrelation(self.name))
        async with self._planned.plan.resolve({**self._given, "lease": lease}) as arguments:
            await self._task.run(**arguments)


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
