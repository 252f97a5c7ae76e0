"""A stretch of time in which completed work is counted, and what the server spent on it."""

import asyncio
import time
from dataclasses import dataclass
from typing import Self

from bench.server import Server

WARM_UP = 0.4
"""Seconds before the count begins: connections made, statements prepared, buffers grown."""


class LoadError(Exception):
    """The answers were not what the case is about; a rate of refusals is no result."""


class Tally:
    """What all connections of a load have done together."""

    def __init__(self) -> None:
        self.done = 0
        self.is_running = True
        self.fault: str | None = None
        self._target = 0
        self._reached: asyncio.Future[None] | None = None

    def wake(self) -> None:
        """Tell who waits in ``reach`` that one more is done."""
        if self._reached is not None and self.done >= self._target and not self._reached.done():
            self._reached.set_result(None)

    async def reach(self, done: int, timeout: float) -> None:  # noqa: ASYNC109 - a timeout is a result here
        """Wait until so much is done, without a pause after it; for connections that ``wake``.

        Raises:
            LoadError: An answer was wrong, or not all came in ``timeout`` seconds.
        """
        self._target, self._reached = done, asyncio.get_running_loop().create_future()
        self.wake()
        await asyncio.wait([self._reached], timeout=timeout)
        if self.fault is not None or self.done < done:
            raise LoadError(self.fault or f"{done - self.done} of {done} did not come")

    def refuse(self, fault: str) -> None:
        """Note the first wrong answer, and stop."""
        if self.fault is None:
            self.fault = fault
        self.is_running = False
        if self._reached is not None and not self._reached.done():
            self._reached.set_result(None)

    async def wait_for(self, done: int, timeout: float) -> None:  # noqa: ASYNC109 - a timeout is a result here
        """Wait until so much is done.

        Raises:
            LoadError: An answer was wrong, or not all came in ``timeout`` seconds.
        """
        deadline = time.perf_counter() + timeout
        # Looked at now and then: the counting connections are what is measured, and shall not have to tell.
        while self.is_running and self.done < done and time.perf_counter() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        if self.fault is not None or self.done < done:
            raise LoadError(self.fault or f"{done - self.done} of {done} answers did not come")


@dataclass(frozen=True, slots=True)
class Throughput:
    """What a window saw."""

    rate: float
    """Per second."""
    cpu_microseconds: float
    """Processor time of the server for each."""
    busy: float
    """Share of one core that the server used; below about 0.95 something else was the limit."""

    @classmethod
    def of(cls, done: int, elapsed: float, cpu: float) -> Self:
        """So many things in so many seconds, for so many seconds of the server's processor."""
        return cls(done / elapsed, cpu / done * 1e6, cpu / elapsed)


async def watch(tally: Tally, server: Server, seconds: float, units: int = 1) -> Throughput:
    """Count for ``seconds``, after a warm-up, while connections work.

    Args:
        tally: Where they count.
        server: Whose processor time is taken.
        seconds: The window.
        units: Packets in each thing that is counted.

    Raises:
        LoadError: An answer was wrong, or none came.
    """
    await asyncio.sleep(WARM_UP)
    done, cpu, started = tally.done, server.cpu_seconds(), time.perf_counter()
    await asyncio.sleep(seconds)
    elapsed = time.perf_counter() - started
    cpu = server.cpu_seconds() - cpu
    done = (tally.done - done) * units
    tally.is_running = False
    if tally.fault is not None:
        raise LoadError(tally.fault)
    if not done:
        raise LoadError("no answer came")
    return Throughput.of(done, elapsed, cpu)
