"""Time window in which completed work and the server's processor time are counted."""

import asyncio
import time
from dataclasses import dataclass
from typing import Self

from bench.server import Server

WARM_UP = 0.4
"""Seconds before the count begins: connections made, statements prepared, buffers grown."""


FIRST_ANSWER_TIMEOUT = 30.0
"""Seconds for which a window stays open when no answer has come in it, as on a machine that does much else."""


class LoadError(Exception):
    """The answers were refusals or did not come, so there is no result."""


class Tally:
    """Counter that all connections of a load share."""

    def __init__(self) -> None:
        self.done = 0
        self.is_running = True
        self.fault: str | None = None
        self._target = 0
        self._reached: asyncio.Future[None] | None = None

    def wake(self) -> None:
        """Wake the caller of ``reach`` if its target is reached."""
        if self._reached is not None and self.done >= self._target and not self._reached.done():
            self._reached.set_result(None)

    async def reach(self, done: int, timeout: float) -> None:  # noqa: ASYNC109 - a timeout is a result here
        """Wait until ``done`` is reached, without a pause after it; for connections that call ``wake``.

        Raises:
            LoadError: An answer was wrong, or not all came in ``timeout`` seconds.
        """
        self._target, self._reached = done, asyncio.get_running_loop().create_future()
        self.wake()
        await asyncio.wait([self._reached], timeout=timeout)
        if self.fault is not None or self.done < done:
            raise LoadError(self.fault or f"{done - self.done} of {done} did not come")

    def refuse(self, fault: str) -> None:
        """Record the first wrong answer, and stop."""
        if self.fault is None:
            self.fault = fault
        self.is_running = False
        if self._reached is not None and not self._reached.done():
            self._reached.set_result(None)

    async def wait_for(self, done: int, timeout: float) -> None:  # noqa: ASYNC109 - a timeout is a result here
        """Wait until ``done`` is reached.

        Raises:
            LoadError: An answer was wrong, or not all came in ``timeout`` seconds.
        """
        deadline = time.perf_counter() + timeout
        # Polled, so that the connections, which are measured, need not notify us.
        while self.is_running and self.done < done and time.perf_counter() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        if self.fault is not None or self.done < done:
            raise LoadError(self.fault or f"{done - self.done} of {done} answers did not come")


@dataclass(frozen=True, slots=True)
class Throughput:
    """Result of a window."""

    rate: float
    """Units per second."""
    cpu_microseconds: float
    """Processor time of the server for each unit."""
    busy: float
    """Share of one core that the server used. Below about 0.95, something else was the limit."""

    @classmethod
    def of(cls, done: int, elapsed: float, cpu: float) -> Self:
        """Make a result from units, seconds, and processor seconds of the server."""
        return cls(done / elapsed, cpu / done * 1e6, cpu / elapsed)


async def watch(tally: Tally, server: Server, seconds: float, units: int = 1) -> Throughput:
    """Count for ``seconds``, and until an answer has come, after a warm-up, while connections work.

    Args:
        tally: Counter of the connections.
        server: Server whose processor time is measured.
        seconds: Length of the window.
        units: Packets in each counted answer.

    Raises:
        LoadError: An answer was wrong, or none came.
    """
    await asyncio.sleep(WARM_UP)
    done, cpu, started = tally.done, server.cpu_seconds(), time.perf_counter()
    await asyncio.sleep(seconds)
    await tally.wait_for(done + 1, FIRST_ANSWER_TIMEOUT)
    elapsed = time.perf_counter() - started
    cpu = server.cpu_seconds() - cpu
    done = (tally.done - done) * units
    tally.is_running = False
    if tally.fault is not None:
        raise LoadError(tally.fault)
    return Throughput.of(done, elapsed, cpu)
