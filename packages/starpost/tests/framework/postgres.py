"""A connection to PostgreSQL beside the application's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from starpost.settings import Settings


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Connect to the database of ``settings``."""
    connection = await asyncpg.connect(
        host=settings.db_host,
        port=settings.db_port,
        user=settings.db_user,
        password=str(settings.db_password),
        database=settings.db_name,
    )
    try:
        yield connection
    finally:
        await connection.close()
