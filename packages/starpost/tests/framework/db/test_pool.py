"""The two ways to a connection, side by side."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from starpost.db import Database
from starpost.db.pool import StatementPool
from starpost.settings import Settings


@pytest.fixture
async def narrow(settings: Settings) -> AsyncIterator[Database]:
    """A database with one connection, which exists."""
    database = Database(msgspec.structs.replace(settings, db_pool_size=1, db_max_overflow=0, db_pool_timeout=100.0))
    await database.fetch("SELECT 1")
    yield database
    await database.close()


def pool_of(database: Database) -> StatementPool:
    pool = database.engine.sync_engine.pool
    assert isinstance(pool, StatementPool)
    return pool


async def backend(database: Database) -> int:
    pid: int = (await database.fetch("SELECT pg_backend_pid()"))[0][0]
    return pid


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_both_ways_share_one_connection(narrow: Database) -> None:
    by_statement = await backend(narrow)
    async with narrow.new_session() as session:
        assert await session.scalar(text("SELECT pg_backend_pid()")) == by_statement
    assert await backend(narrow) == by_statement


async def test_statements_wait_for_their_turn_in_order(narrow: Database) -> None:
    entry = await pool_of(narrow).lend()
    assert entry is not None
    done: list[int] = []

    async def ask(number: int) -> None:
        await narrow.fetch("SELECT 1")
        done.append(number)

    tasks = [asyncio.create_task(ask(number)) for number in range(5)]
    await settle()
    assert not done
    await pool_of(narrow).give_back(entry)
    await asyncio.gather(*tasks)
    assert done == [0, 1, 2, 3, 4]


async def test_units_of_work_and_statements_take_turns(narrow: Database) -> None:
    entry = await pool_of(narrow).lend()
    assert entry is not None
    done: list[str] = []

    async def statement() -> None:
        await narrow.fetch("SELECT 1")
        done.append("statement")

    async def unit() -> None:
        async with narrow.new_session() as session:
            await session.execute(text("SELECT 1"))
        done.append("unit")

    tasks: list[asyncio.Task[Any]] = [asyncio.create_task(statement()) for _ in range(4)]
    tasks += [asyncio.create_task(unit()) for _ in range(2)]
    await settle()
    await pool_of(narrow).give_back(entry)
    await asyncio.gather(*tasks)
    assert "unit" in done[:2]
    assert "statement" in done[:2]


async def test_nobody_waits_longer_than_the_timeout(settings: Settings) -> None:
    database = Database(msgspec.structs.replace(settings, db_pool_size=1, db_max_overflow=0, db_pool_timeout=0.05))
    try:
        async with database.connection():
            with pytest.raises(PoolTimeoutError):
                await database.fetch("SELECT 1")
        await database.fetch("SELECT 1")
    finally:
        await database.close()


async def test_who_is_cancelled_while_waiting_takes_no_connection_along(narrow: Database) -> None:
    pool = pool_of(narrow)
    entry = await pool.lend()
    assert entry is not None
    waiting = asyncio.create_task(narrow.fetch("SELECT 1"))
    await settle()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await pool.give_back(entry)
    await asyncio.wait_for(narrow.fetch("SELECT 1"), 100)


async def test_who_is_cancelled_in_the_moment_of_getting_one_gives_it_back(narrow: Database) -> None:
    pool = pool_of(narrow)
    entry = await pool.lend()
    assert entry is not None
    waiting = asyncio.create_task(narrow.fetch("SELECT 1"))
    await settle()
    await pool.give_back(entry)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await asyncio.wait_for(narrow.fetch("SELECT 1"), 100)
    assert pool.checkedout() == 0


async def test_a_closed_connection_is_replaced(narrow: Database) -> None:
    before = await backend(narrow)
    async with narrow.connection() as connection:
        await connection.close()
    assert await backend(narrow) != before


async def test_a_connection_that_is_due_is_replaced(settings: Settings) -> None:
    database = Database(msgspec.structs.replace(settings, db_pool_size=1, db_max_overflow=0, db_pool_recycle=0))
    try:
        before = await backend(database)
        await asyncio.sleep(0.01)
        assert await backend(database) != before
    finally:
        await database.close()


async def test_connections_above_the_usual_number_are_closed_after_use(settings: Settings) -> None:
    database = Database(msgspec.structs.replace(settings, db_pool_size=1, db_max_overflow=2))
    try:
        await asyncio.gather(*(database.fetch("SELECT pg_sleep(0.05)") for _ in range(6)))
        pool = pool_of(database)
        assert pool.checkedin() == 1
        assert pool.checkedout() == 0
        entries = [await pool.lend()]
        assert entries[0] is not None
        async with database.connection():
            await pool.give_back(entries[0])
        assert pool.checkedin() == 1
    finally:
        await database.close()


async def test_with_pre_ping_every_connection_is_tested(settings: Settings) -> None:
    database = Database(msgspec.structs.replace(settings, db_pool_pre_ping=True))
    try:
        await database.fetch("SELECT 1")
        assert await pool_of(database).lend() is None
    finally:
        await database.close()
