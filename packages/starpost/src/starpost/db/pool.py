"""The engine's pool, with a shorter way in for single statements.

SQLAlchemy's way to a connection is made for units of work: a greenlet to wait in, a proxy that watches over the
connection, a rollback when it comes back. A statement that is a transaction of its own needs none of it, and spent a
third of its time there. Both ways share the connections, and the limit of their number.
"""

import asyncio
import time
from collections import deque
from typing import Any

from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry
from sqlalchemy.util import greenlet_spawn


class StatementPool(AsyncAdaptedQueuePool):
    """A queue pool whose connections can also be lent as they are."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._waiting: deque[asyncio.Future[ConnectionPoolEntry]] = deque()
        self._units_waiting = 0
        self._is_turn_of_units = False

    async def lend(self) -> ConnectionPoolEntry | None:
        """An idle connection, or the next that comes back when there are no more to be made.

        Returns:
            ``None`` when one has to be made, replaced or tested first, which is done on SQLAlchemy's way.

        Raises:
            sqlalchemy.exc.TimeoutError: None came back within the pool's timeout.
        """
        if self._pre_ping:
            return None
        if not self._pool.empty():
            entry = self._pool.get(False)
        elif self._overflow >= self._max_overflow:
            entry = await self._wait()
        else:
            return None
        if self._is_good(entry):
            return entry
        await self.give_back(entry)
        return None

    async def give_back(self, entry: ConnectionPoolEntry) -> None:
        """End a loan. Waits for nothing unless the connection is one too many, and has to be closed."""
        if self._waiting or not self._pool.full():
            self._do_return_conn(entry)
        else:
            await greenlet_spawn(self._do_return_conn, entry)

    def _do_get(self) -> ConnectionPoolEntry:
        self._units_waiting += 1
        try:
            return super()._do_get()
        finally:
            self._units_waiting -= 1

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        driver: Any = record.driver_connection
        cancellation = None if driver is None else driver.cancellation
        if cancellation is not None:
            # Who was cancelled does not wait for the end of its query, nor does the next one.
            cancellation.add_done_callback(lambda _: self._return_cancelled(record))
            return
        # When both wait, they take turns: neither statements nor units of work starve.
        self._is_turn_of_units = self._units_waiting > 0 and not self._is_turn_of_units
        while self._waiting and not self._is_turn_of_units:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(record)
                return
        super()._do_return_conn(record)

    def _return_cancelled(self, record: ConnectionPoolEntry) -> None:
        if not self._waiting and self._pool.full():
            # One too many, and outside of a greenlet none is closed in any other way.
            record.invalidate()
        self._do_return_conn(record)

    async def _wait(self) -> ConnectionPoolEntry:
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[ConnectionPoolEntry] = loop.create_future()
        self._waiting.append(waiting)
        timer = loop.call_later(self._timeout, _expire, waiting, self._timeout)
        try:
            return await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled() and waiting.exception() is None:
                # It was given one in the same moment.
                await self.give_back(waiting.result())
            raise
        finally:
            timer.cancel()

    def _is_good(self, entry: ConnectionPoolEntry) -> bool:
        """Whether it can be used as it is: not closed, not invalidated, not due to be replaced."""
        driver: Any = entry.driver_connection
        record: Any = entry  # what the protocol leaves out
        return (
            driver is not None
            and not driver.is_closed()
            and (self._recycle < 0 or time.time() - record.last_connect_time <= self._recycle)
            and not record._is_hard_or_soft_invalidated()
        )


def _expire(waiting: "asyncio.Future[ConnectionPoolEntry]", timeout: float) -> None:
    if not waiting.done():
        waiting.set_exception(PoolTimeoutError(f"No database connection became free in {timeout} s"))
