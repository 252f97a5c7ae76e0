"""A connection of asyncpg's that has PostgreSQL end a query whose task was cancelled.

PostgreSQL takes a request to cancel for the query that runs when the request arrives, and ignores the request when none
does: a query that is prepared, and not yet being executed, then runs to its time limit. asyncpg asks once.
Source: https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS
"""

import asyncio
from contextlib import suppress
from typing import Any, Final

import asyncpg
import structlog
from asyncpg import connect_utils

_log = structlog.get_logger(__name__)

PAUSES: Final = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 1.6)
"""Seconds between one request to cancel and the next; after the last the connection is given up."""
_REQUEST_SECONDS: Final = 2.0


class CancellingConnection(asyncpg.Connection):
    """Asks until the cancelled query has ended. If it does not end, closes itself: a query ends without its client.

    Overrides a private method of asyncpg's, the only place in which it asks.
    """

    __slots__ = ()

    # asyncpg's, which its stubs leave out.
    _addr: Any
    _cancellations: "set[asyncio.Task[None] | None]"
    _loop: asyncio.AbstractEventLoop
    _params: Any
    _protocol: Any

    @property
    def cancellation(self) -> "asyncio.Task[None] | None":
        """Runs for as long as a cancelled query may; ``None`` when there is none."""
        return next(iter(self._cancellations), None)

    async def _cancel(self, waiter: "asyncio.Future[None]", cancel_waiter: "asyncio.Future[None]") -> None:
        """Ask PostgreSQL to end the query that runs.

        Args:
            waiter: Holds back the next query until no request is under way that could hit it.
            cancel_waiter: Done when the query has ended, or the connection.
        """
        try:
            for pause in PAUSES:
                # A request that failed is made again, as one that was ignored.
                with suppress(OSError):
                    async with asyncio.timeout(_REQUEST_SECONDS):
                        await connect_utils._cancel(  # type: ignore[attr-defined]  # as above
                            loop=self._loop,
                            addr=self._addr,
                            params=self._params,
                            backend_pid=self._protocol.backend_pid,
                            backend_secret=self._protocol.backend_secret,
                        )
                await asyncio.wait([cancel_waiter], timeout=pause)
                if cancel_waiter.done():
                    return
            _log.warning("query_not_cancelled", requests=len(PAUSES), backend=self.get_server_pid())
            self.terminate()
        finally:
            self._cancellations.discard(asyncio.current_task(self._loop))
            if not waiter.done():
                waiter.set_result(None)
