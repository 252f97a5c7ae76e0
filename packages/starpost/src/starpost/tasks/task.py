"""What a domain declares."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from starpost.source_location import location_of_caller

LEASE: Final = 15.0
"""Seconds for which a worker holds a task without saying so again. After a crash another takes over so late."""

SHORTEST_LEASE: Final = 1.0
"""Seconds. Below, a pause of the event loop or of the network would look like a worker that has died."""


class BackgroundTask:
    """A coroutine function that runs beside the packets, in every worker or once per cluster.

        BackgroundTask(listen_to_the_printer)
        BackgroundTask(remove_old_drafts, every=3600, once_per_cluster=True)

    Without ``every`` it is expected to run until it is cancelled; one that returns is not started again. With it, runs
    begin that many seconds apart, never two at once, and one that took longer is followed at once by the next. What
    raises is logged and started again, after a pause that grows with each failure.

    Args:
        run: Takes its dependencies by parameter name, as handlers do; made anew for each run. One without ``every``
            may not take what is finished after its use (a unit of work), since it would hold it for ever: it takes
            ``new_unit_of_work`` and opens one when it has something to do.
        name: Unique in its domain; the function's name if not given.
        every: Seconds.
        once_per_cluster: Run in one worker at a time, of all workers and nodes, by a lease in Redis.
        lease: Seconds until another worker takes over from one that has died.
        is_vital: The worker is not ready while the task is failing.

    Raises:
        ValueError: The declaration cannot work.
    """

    def __init__(
        self,
        run: Callable[..., Awaitable[None]],
        *,
        name: str = "",
        every: float | None = None,
        once_per_cluster: bool = False,
        lease: float = LEASE,
        is_vital: bool = False,
    ) -> None:
        self.run: Callable[..., Awaitable[Any]] = run
        self.name = name or getattr(run, "__name__", "")
        self.every = every
        self.once_per_cluster = once_per_cluster
        self.lease = lease
        self.is_vital = is_vital
        self.location = location_of_caller()
        if every is not None and not every > 0:
            raise ValueError(f"{self.location}: task {self.name!r}: every= is a number of seconds above 0")
        if not lease >= SHORTEST_LEASE:
            raise ValueError(f"{self.location}: task {self.name!r}: lease= is {SHORTEST_LEASE:g} seconds or more")
