"""The worker's pulse: one task that looks after every connection.

It sees to a packet's deadline, a client that reads too slowly, a heartbeat that stays away. So a packet costs no timer
and an idle connection no task. Times are kept to one tick.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Final, Protocol

import structlog

from starpost.protocol.close_codes import CloseCode, Verdict

TICK: Final = 0.05
"""Seconds between two looks at the busy connections."""

STRANGER_LOOK: Final = 0.2
"""Seconds between two looks at what strangers have sent. Each costs 6 µs per stranger; what comes meanwhile is held."""

log = structlog.get_logger(__name__)


class Patient(Protocol):
    """A connection, as far as the pulse sees it. All times are the pulse's, in seconds."""

    @property
    def id(self) -> str:
        """The connection's id."""
        ...

    def tick(self, now: float) -> None:
        """Look after a running packet and a frame that is being written; each tick, while it is busy."""
        ...

    def weigh(self, now: float) -> None:
        """Look at how much has come; while it is a stranger's."""
        ...

    def sweep(self, now: float) -> None:
        """Keep the heartbeat; now and then."""
        ...

    def stop(self, verdict: Verdict) -> None:
        """Close, soon."""
        ...


class Pulse:
    """Checks the connections, and is their coarse clock.

    Args:
        everybody: All of them.
        strangers: Those that have not signed in.
        sweep_interval: Seconds between two looks at everybody.
    """

    def __init__(self, everybody: Mapping[str, Patient], strangers: Collection[Patient], sweep_interval: float) -> None:
        self.now = 0.0
        """The loop's time at the last tick: a clock that costs an attribute."""
        self.busy: set[Patient] = set()
        """Those whose packets run; each adds and removes itself."""
        self._everybody = everybody
        self._strangers = strangers
        self._sweep_interval = sweep_interval
        self._task: asyncio.Task[None] | None = None

    def clock(self) -> float:
        """``now``, as a function."""
        return self.now

    def start(self) -> None:
        """Begin to beat."""
        self.now = asyncio.get_running_loop().time()
        self._task = asyncio.create_task(self._beat(), name="connections-pulse")

    async def stop(self) -> None:
        """End; the connections must be gone."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        next_sweep = next_weighing = 0.0
        while True:
            await asyncio.sleep(TICK)
            self.now = loop.time()
            for connection in list(self.busy):
                self._check(connection, connection.tick)
            if self.now >= next_weighing:
                next_weighing = self.now + STRANGER_LOOK
                for connection in list(self._strangers):
                    self._check(connection, connection.weigh)
            if self.now >= next_sweep:
                next_sweep = self.now + self._sweep_interval
                for connection in list(self._everybody.values()):
                    self._check(connection, connection.sweep)

    def _check(self, connection: Patient, check: Callable[[float], None]) -> None:
        """One connection's fault must not stop the pulse of all others."""
        try:
            check(self.now)
        except Exception:
            log.exception("connection_check_failed", connection_id=connection.id)
            connection.stop(Verdict(CloseCode.INTERNAL_ERROR, "internal_error"))
