"""Connection of asyncpg that makes PostgreSQL end a query whose task was cancelled.

PostgreSQL applies a cancel request to the query that runs when the request arrives, and ignores it if none does: a
query that is prepared but not executing yet then runs to its time limit. asyncpg sends one request only. Source:
https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS
"""

import asyncio
from contextlib import suppress
from typing import Any, Final

import asyncpg
import structlog
from asyncpg import connect_utils

_log = structlog.get_logger(__name__)

PAUSES: Final = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 1.6)
"""Seconds to wait after each cancel request. After the last, the connection is closed."""
_REQUEST_SECONDS: Final = 2.0


class CancellingConnection(asyncpg.Connection):
    """Connection that repeats its cancel request until the query has ended, and otherwise closes itself.

    PostgreSQL ends a query whose client has gone. The class overrides a private method of asyncpg, the only place where
    asyncpg sends the request.
    """

    __slots__ = ()

    # Attributes of asyncpg that its stubs leave out.
    _addr: Any
    _cancellations: "set[asyncio.Task[None] | None]"
    _loop: asyncio.AbstractEventLoop
    _params: Any
    _protocol: Any

    @property
    def cancellation(self) -> "asyncio.Task[None] | None":
        """Task that runs for as long as a cancelled query may; ``None`` if there is none."""
        return next(iter(self._cancellations), None)

    async def _cancel(self, waiter: "asyncio.Future[None]", cancel_waiter: "asyncio.Future[None]") -> None:
        """Ask PostgreSQL to end the query that runs.

        Args:
            waiter: Holds back the next query until no request is under way that could hit it.
            cancel_waiter: Done when the query has ended, or the connection.
        """
        try:
            for pause in PAUSES:
                # A request that failed is repeated, like one that was ignored.
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
