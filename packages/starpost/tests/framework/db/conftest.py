"""A database of this package's own on the suite's PostgreSQL, with the tables of ``shelf``."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, event, insert

from starpost.db import BaseModel, Database, Statements
from starpost.settings import Settings
from starpost_dev.services.services import Services
from tests.framework.db.shelf import Item, Shelf
from tests.framework.postgres import connected


async def create_database(settings: Settings, name: str) -> Settings:
    """Make an empty database on the server of ``settings``."""
    async with connected(settings) as connection:
        await connection.execute(f'CREATE DATABASE "{name}"')
    return msgspec.structs.replace(settings, db_name=name)


@pytest.fixture(scope="session")
async def settings(services: Services) -> Settings:
    base = Settings.from_strings(services.environment() | {"DB_INIT_RETRY_INTERVAL": "0.05"})
    return await create_database(base, "framework_db")


@pytest.fixture(scope="session")
async def opened(settings: Settings) -> AsyncIterator[Database]:
    database = await Database(settings).open()

    def create(connection: Connection) -> None:
        BaseModel.metadata.create_all(connection, tables=[Shelf.__table__, Item.__table__])  # type: ignore[list-item]

    async with database.engine.begin() as connection:
        await connection.run_sync(create)
    yield database
    await database.close()


@pytest.fixture
async def database(opened: Database) -> Database:
    """The database, empty."""
    async with opened.connection() as connection:
        await connection.execute("TRUNCATE test_shelf, test_item RESTART IDENTITY")
    assert opened.engine.pool.checkedout() == 0, "the test before kept a connection"  # type: ignore[attr-defined]
    return opened


@pytest.fixture
def statements(database: Database) -> Statements:
    return Statements(database)


async def add_shelves(database: Database, *labels: str) -> None:
    async with database.engine.begin() as connection:
        await connection.execute(insert(Shelf), [{"label": label} for label in labels])


class Wire:
    """What is sent to PostgreSQL over connections that are made from now on."""

    def __init__(self, database: Database) -> None:
        self.queries: list[str] = []
        event.listen(database.engine.sync_engine, "connect", self._on_connect)

    def _on_connect(self, dbapi_connection: Any, _record: object) -> None:
        dbapi_connection.driver_connection.add_query_logger(lambda query: self.queries.append(query.query))
