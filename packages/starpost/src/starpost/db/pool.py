"""Pool of the engine, with a shorter way to a connection for single statements.

SQLAlchemy's way is made for units of work: a greenlet to wait in, a proxy that watches over the connection, a rollback
when it is returned. A statement that is a transaction of its own needs none of this, and spent a third of its time
there. Both ways share the connections and the limit of their number.
"""

import asyncio
import time
from collections import deque
from typing import Any

from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry
from sqlalchemy.util import greenlet_spawn


class StatementPool(AsyncAdaptedQueuePool):
    """Queue pool that can also lend its connections directly."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._waiting: deque[asyncio.Future[ConnectionPoolEntry]] = deque()
        self._units_waiting = 0
        self._is_turn_of_units = False

    async def lend(self) -> ConnectionPoolEntry | None:
        """Return an idle connection, or wait for the next one if the pool may not open another.

        Returns:
            ``None`` if a connection has to be opened, replaced or tested first, which only SQLAlchemy's way does.

        Raises:
            sqlalchemy.exc.TimeoutError: No connection was returned within the pool's timeout.
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
        """End a loan. Waits only if the connection is above the pool's size, and has to be closed."""
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
            # Neither the cancelled task nor the next borrower waits for the end of the query: the connection is
            # returned later.
            cancellation.add_done_callback(lambda _: self._return_cancelled(record))
            return
        # If both wait, they take turns, so that neither statements nor units of work starve.
        self._is_turn_of_units = self._units_waiting > 0 and not self._is_turn_of_units
        while self._waiting and not self._is_turn_of_units:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(record)
                return
        super()._do_return_conn(record)

    def _return_cancelled(self, record: ConnectionPoolEntry) -> None:
        if not self._waiting and self._pool.full():
            # Above the pool's size. Outside of a greenlet, invalidating is the only way to close a connection.
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
                # The pool lent a connection at the same moment.
                await self.give_back(waiting.result())
            raise
        finally:
            timer.cancel()

    def _is_good(self, entry: ConnectionPoolEntry) -> bool:
        """Return whether a connection can be lent: not closed, not invalidated, not due for recycling."""
        driver: Any = entry.driver_connection
        record: Any = entry  # has attributes that the protocol leaves out
        return (
            driver is not None
            and not driver.is_closed()
            and (self._recycle < 0 or time.time() - record.last_connect_time <= self._recycle)
            and not record._is_hard_or_soft_invalidated()
        )


def _expire(waiting: "asyncio.Future[ConnectionPoolEntry]", timeout: float) -> None:
    if not waiting.done():
        waiting.set_exception(PoolTimeoutError(f"No database connection became free in {timeout} s"))
