"""Declaration of a background task."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from starpost.source_location import location_of_caller

LEASE: Final = 15.0
"""Default lease in seconds. After a crash, another worker takes over when it has run out."""

SHORTEST_LEASE: Final = 1.0
"""Shortest lease in seconds. With a shorter one, a pause of event loop or network would look like a dead worker."""


class BackgroundTask:
    """Coroutine function that runs in the background, in every worker or once per cluster.

        BackgroundTask(listen_to_the_printer)
        BackgroundTask(remove_old_drafts, every=3600, once_per_cluster=True)

    Without ``every`` the function should run until it is cancelled; if it returns, it is not started again. With it,
    runs start that many seconds apart, never two at once; the next follows immediately if one took longer. An exception
    is logged, and the function started again after a pause that grows with each failure.

    Args:
        run: Coroutine function. Takes its dependencies by parameter name, as handlers do, made anew for each run. A
            function without ``every`` may not take a dependency that is finished after use (a unit of work), since it
            would hold it for ever: take ``new_unit_of_work``, and open one when there is something to do.
        name: Unique name in its domain; by default the function's.
        every: Seconds between the starts of two runs.
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
