"""Worker's side of a clean stop: the launcher asks the worker to drain, and the worker reports that it has."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from starpost.server.reports import Phase

GOODBYE_SECONDS: Final = 2.0
"""Time, in seconds, for a slow client to read that its connection ends."""

FLUSH_SECONDS: Final = 2.0
"""Time, in seconds, for events that still wait for Redis when all connections are closed."""

LATE_SECONDS: Final = 1.0
"""Allowance, in seconds, for a busy worker that reports late."""


def drain_limit(*, timeout: float, spread: float) -> float:
    """Return the seconds after which a draining worker has hung. A worker that keeps its own limits is done before.

    Args:
        timeout: ``DRAIN_TIMEOUT``, the seconds for packets that run when their connection's turn comes.
        spread: ``DRAIN_SPREAD``, the seconds from the first connection's turn to the last one's.
    """
    return spread + timeout + GOODBYE_SECONDS + FLUSH_SECONDS + LATE_SECONDS


class DrainSignal:
    """Request to drain, and the answer to it.

    Each worker gets one, which it passes to the application's factory. An application that is started in another way (a
    test, Granian's own command) makes its own, and no launcher receives its reports::

        async with drain.watched():          # in the lifespan, last: from here on the worker counts as started
            ...
            await drain.requested.wait()     # in a task: readiness 503, refuse sockets, close the open ones
            drain.done()

    Args:
        report: Called with each phase that the worker reaches; ``None`` without a launcher.
    """

    def __init__(self, report: Callable[[Phase], None] | None = None) -> None:
        self.requested = asyncio.Event()
        """Set once, never cleared: a worker that drains is not used again."""
        self._report = report
        self._late_sockets = 0
        self._is_done = False

    @property
    def is_requested(self) -> bool:
        """True from the request on, also when the worker has drained."""
        return self.requested.is_set()

    def request(self) -> None:
        """Ask for the drain, as the launcher's signal does. Call it in the event loop's thread only."""
        self.requested.set()

    @property
    def is_done(self) -> bool:
        """True once the application has called ``done``. A socket that it accepted now would be dropped."""
        return self._is_done

    def done(self) -> None:
        """Report to the launcher, as soon as the last late socket has ended, that it may stop this worker."""
        self._is_done = True
        self._report_when_empty()

    @contextmanager
    def late_socket(self) -> Iterator[None]:
        """Count a socket that arrived after the request, while the application refuses it.

        The application may be done before it knows of the socket. Stopped then, it would send the client no close code.
        """
        self._late_sockets += 1
        try:
            yield
        finally:
            self._late_sockets -= 1
            self._report_when_empty()

    def _report_when_empty(self) -> None:
        if self._is_done and not self._late_sockets and self._report is not None:
            self._report(Phase.DRAINED)

    @asynccontextmanager
    async def watched(self) -> AsyncIterator["DrainSignal"]:
        """Listen for the launcher's signal while the context is open.

        Without a launcher the signals stay untouched: a test's Ctrl-C is not ours to take.
        """
        if self._report is None:
            yield self
            return
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, self.request)
        self._report(Phase.READY)
        try:
            yield self
        finally:
            loop.remove_signal_handler(signal.SIGUSR1)
            # Without a handler a late second request would kill the process in the middle of its shutdown.
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)
