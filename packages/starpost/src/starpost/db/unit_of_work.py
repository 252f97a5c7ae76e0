"""Unit of work: the transaction of a packet or a request, which commits before the reply is sent."""

from collections.abc import Callable
from typing import Self

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from starpost.db.database import Database

_log = structlog.get_logger(__name__)


class UnitOfWork:
    """``AsyncSession`` that begins when it is first used, and calls to make after its commit.

    A handler that never uses ``session`` takes no connection. As a context manager it commits at the end, and rolls
    back on an exception, also when the task is cancelled.
    """

    __slots__ = ("_calls", "_database", "_session")

    def __init__(self, database: Database) -> None:
        self._database = database
        self._session: AsyncSession | None = None
        self._calls: list[Callable[[], object]] = []

    @property
    def session(self) -> AsyncSession:
        """``AsyncSession`` of this unit, always the same."""
        if self._session is None:
            self._session = self._database.new_session()
        return self._session

    def after_commit(self, call: Callable[[], object]) -> None:
        """Call ``call``, without arguments, once this unit has committed; never if it rolls back.

        Calls run in the order in which they were added, before the reply is sent, and must not block. An exception is
        logged and changes nothing else, since the work is committed.
        """
        self._calls.append(call)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._session is not None:
            # Closing rolls back what is not committed, and is shielded from cancellation.
            async with self._session as session:
                if kind is None and session.in_transaction():
                    await session.commit()
        if kind is None:
            self._run_calls()

    def _run_calls(self) -> None:
        for call in self._calls:
            try:
                call()
            except Exception:  # noqa: BLE001 - whatever it is, the commit stands
                _log.exception("after_commit_failed", call=repr(call))
