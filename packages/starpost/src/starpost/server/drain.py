"""The worker's side of a clean stop: it is asked to empty itself, and says when it has."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from starpost.server.reports import Phase

GOODBYE_SECONDS: Final = 2.0
"""For a client that does not read to hear that its connection ends."""

FLUSH_SECONDS: Final = 2.0
"""For events that wait for Redis when all connections have gone."""

LATE_SECONDS: Final = 1.0
"""Allowance, in seconds, for a busy worker that reports late."""


def drain_limit(*, timeout: float, spread: float) -> float:
    """Seconds after which a worker that drains has hung; one that keeps its own limits is done before.

    Args:
        timeout: ``DRAIN_TIMEOUT``, for packets that run when their connection's turn comes.
        spread: ``DRAIN_SPREAD``, from the first connection's turn to the last one's.
    """
    return spread + timeout + GOODBYE_SECONDS + FLUSH_SECONDS + LATE_SECONDS


class DrainSignal:
    """The request to drain, and the answer.

    The launcher makes one per worker and passes it to the application's factory; an application that is started in
    another way (a test, Granian's own command) makes one itself, and nobody hears its answers::

        async with drain.watched():          # in the lifespan, last: from here on the worker counts as started
            ...
            await drain.requested.wait()     # in a task: readiness 503, refuse sockets, close the open ones
            drain.done()

    Args:
        report: Called with each phase that is reached.
    """

    def __init__(self, report: Callable[[Phase], None] | None = None) -> None:
        self.requested = asyncio.Event()
        """Set once, never cleared: a worker that drains is not used again."""
        self._report = report
        self._late_sockets = 0
        self._is_done = False

    @property
    def is_requested(self) -> bool:
        """Whether the worker is draining, or has drained."""
        return self.requested.is_set()

    def request(self) -> None:
        """Ask for the drain; what the launcher's signal does. Only in the event loop's thread."""
        self.requested.set()

    @property
    def is_done(self) -> bool:
        """Whether the application has said that it is empty. A socket that it would accept now would be dropped."""
        return self._is_done

    def done(self) -> None:
        """Tell the launcher that nothing is left, when the last late socket has ended: it stops this worker then."""
        self._is_done = True
        self._report_when_empty()

    @contextmanager
    def late_socket(self) -> Iterator[None]:
        """Count a socket that came after the request, while the application turns it away.

        The application knows of it only later, and may be done before; then its client would hear no close code.
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
