"""Pulse of a worker: one task that checks every connection.

It enforces deadlines of packets, finds clients that read too slowly, and sends heartbeats. So a packet costs no timer,
and an idle connection no task. Times are exact to one tick.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Final, Protocol

import structlog

from starpost.protocol.close_codes import CloseCode, Verdict

TICK: Final = 0.05
"""Seconds between two checks of the busy connections."""

STRANGER_LOOK: Final = 0.2
"""Seconds between two checks of the bytes that strangers have sent. A check costs 6 µs per stranger."""

log = structlog.get_logger(__name__)


class Patient(Protocol):
    """Connection, as the pulse sees it. All times are on the pulse's clock, in seconds."""

    @property
    def id(self) -> str:
        """Id of the connection."""
        ...

    def tick(self, now: float) -> None:
        """Check running packets and the frame that is being written; called each tick, while it is busy."""
        ...

    def weigh(self, now: float) -> None:
        """Check how much has arrived; called while it is a stranger's."""
        ...

    def sweep(self, now: float) -> None:
        """Check the heartbeat; called at longer intervals."""
        ...

    def stop(self, verdict: Verdict) -> None:
        """Close soon."""
        ...


class Pulse:
    """Pulse of a worker's connections, and their coarse clock.

    Args:
        everybody: All connections.
        strangers: Connections that have not signed in.
        sweep_interval: Seconds between two checks of everybody.
    """

    def __init__(self, everybody: Mapping[str, Patient], strangers: Collection[Patient], sweep_interval: float) -> None:
        self.now = 0.0
        """Time of the loop at the last tick: a clock at the price of an attribute."""
        self.busy: set[Patient] = set()
        """Connections with running packets; each adds and removes itself."""
        self._everybody = everybody
        self._strangers = strangers
        self._sweep_interval = sweep_interval
        self._task: asyncio.Task[None] | None = None

    def clock(self) -> float:
        """Return ``now``."""
        return self.now

    def start(self) -> None:
        """Start the pulse."""
        self.now = asyncio.get_running_loop().time()
        self._task = asyncio.create_task(self._beat(), name="connections-pulse")

    async def stop(self) -> None:
        """Stop the pulse. All connections must have ended."""
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
        """Run one check. Log an exception, which must not stop the pulse of the other connections."""
        try:
            check(self.now)
        except Exception:
            log.exception("connection_check_failed", connection_id=connection.id)
            connection.stop(Verdict(CloseCode.INTERNAL_ERROR, "internal_error"))
