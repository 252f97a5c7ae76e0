"""A cancelled query ends in PostgreSQL, whenever the cancellation came."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from starpost.db import Database, UnitOfWork, connection
from starpost.settings import Settings
from tests.framework.db.held_front import HeldFront
from tests.framework.db.test_database import backends, until

SLEEP = "SELECT pg_sleep(600) AS held"
HELD = "query LIKE '%AS held%' AND state = 'active'"
# It is active from Parse on.
EXECUTING = f"{HELD} AND wait_event = 'PgSleep'"
Query = Callable[[Database], Coroutine[Any, Any, None]]


async def by_statement(database: Database) -> None:
    await database.fetch(SLEEP)


async def by_unit_of_work(database: Database) -> None:
    async with UnitOfWork(database) as unit:
        await unit.session.execute(text(SLEEP))


async def on_connection(database: Database) -> None:
    async with database.connection() as driver:
        await driver.fetch(SLEEP)


def through(front: HeldFront, settings: Settings) -> Database:
    """A database with one connection, which goes through the front, and whose server would let a query run on."""
    return Database(
        msgspec.structs.replace(
            settings, db_host="127.0.0.1", db_port=front.port, db_ssl="disable", db_pool_size=1, db_max_overflow=0
        ),
        statement_timeout=0,
    )


async def cancel_when_prepared(front: HeldFront, query: Coroutine[Any, Any, object]) -> None:
    task = asyncio.create_task(query)
    await front.is_held.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def cancellations() -> list[asyncio.Task[Any]]:
    """The tasks that still ask."""
    return [task for task in asyncio.all_tasks() if task.get_coro().__qualname__.endswith("._cancel")]  # type: ignore[union-attr]


@pytest.mark.parametrize("query", [by_statement, on_connection, by_unit_of_work])
async def test_a_query_cancelled_between_preparing_and_executing_ends(
    database: Database, settings: Settings, query: Query
) -> None:
    async with HeldFront(settings.db_host, settings.db_port, "held").serving() as front:
        narrow = through(front, settings)
        await narrow.ping()
        await cancel_when_prepared(front, query(narrow))

        async def is_over() -> bool:
            return front.cancellations > 1 and not await backends(database, HELD)

        await until(is_over)
        # The only connection serves the next, and nobody asks again.
        for _ in range(3):
            await narrow.ping()
        asked = front.cancellations
        assert not cancellations()
        assert narrow.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
        await narrow.ping()
        assert front.cancellations == asked
        await narrow.close()


async def test_a_connection_whose_query_has_not_ended_is_lent_to_nobody(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PAUSES", (0.05, 86_400.0))
    async with HeldFront(settings.db_host, settings.db_port, "held", is_deaf=True).serving() as front:
        narrow = through(front, settings)
        await narrow.ping()
        await cancel_when_prepared(front, narrow.fetch(SLEEP))
        await until(lambda: backends(database, EXECUTING))
        waiting = asyncio.create_task(narrow.ping())
        [running] = await backends(database, EXECUTING)
        for _ in range(20):
            await asyncio.sleep(0)
        assert not waiting.done()
        await database.fetch("SELECT pg_cancel_backend($1)", running)
        await waiting
        assert (await narrow.fetch("SELECT pg_backend_pid()"))[0][0] == running
        await narrow.close()


@pytest.mark.parametrize("query", [by_statement, on_connection, by_unit_of_work])
async def test_a_connection_that_cannot_be_cancelled_is_dropped_and_the_query_with_it(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch, query: Query
) -> None:
    monkeypatch.setattr(connection, "PAUSES", (0.01, 0.02, 0.04))
    async with HeldFront(settings.db_host, settings.db_port, "held", is_deaf=True).serving() as front:
        narrow = through(front, settings)
        [[before]] = await narrow.fetch("SELECT pg_backend_pid()")
        await cancel_when_prepared(front, query(narrow))

        async def is_over() -> bool:
            return not await backends(database, HELD) and not await backends(database, f"pid = {before}")

        await until(is_over)
        assert front.cancellations == 3
        [[after]] = await narrow.fetch("SELECT pg_backend_pid()")
        assert after != before
        assert not cancellations()
        assert narrow.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
        await narrow.close()


async def test_one_that_is_too_many_is_closed_when_its_query_has_ended(database: Database, settings: Settings) -> None:
    async with HeldFront(settings.db_host, settings.db_port, "held").serving() as front:
        wide = Database(
            msgspec.structs.replace(
                settings, db_host="127.0.0.1", db_port=front.port, db_ssl="disable", db_pool_size=1, db_max_overflow=1
            )
        )
        async with wide.connection():
            # On the one above the pool's size, which has to be made first.
            cancelled = asyncio.create_task(cancel_when_prepared(front, wide.fetch(SLEEP)))
            await front.is_held.wait()
        await cancelled

        async def is_over() -> bool:
            return bool(wide.engine.pool.checkedout() == 0)  # type: ignore[attr-defined]

        await until(is_over)
        assert not await backends(database, HELD)
        assert wide.engine.pool.checkedin() == 1  # type: ignore[attr-defined]
        await wide.ping()
        await wide.close()
