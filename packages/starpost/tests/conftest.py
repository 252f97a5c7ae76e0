"""What the framework's tests share."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from starpost.db import Database
from starpost.settings import Settings
from starpost.testing import Serve
from starpost_dev.services.services import Services
from tests.framework.postgres import connected
from tests.specimen import REALM_FILE
from tests.specimen.domains.authors.models import SpecimenAuthor


@pytest.fixture(scope="session")
def serve(serve: Serve) -> Callable[..., Any]:
    """Run the probe application, unless a test names another."""

    def start(target: str = "tests.framework.probe:create", **environ: str) -> Any:
        return serve(target, **environ)

    return start


@pytest.fixture(scope="session")
def services(services: Services) -> Services:
    """The services of the run, with the specimen's table in the database."""

    async def create_table() -> None:
        database = await Database(Settings.from_strings(services.environment())).open()
        async with database.engine.begin() as connection:
            await connection.run_sync(SpecimenAuthor.__table__.create)  # type: ignore[attr-defined]
        await database.close()

    # In a thread, which has no loop yet.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, create_table()).result()
    return services


@pytest.fixture(scope="session")
def realm_file() -> Path:
    """The specimen's."""
    return REALM_FILE


@pytest.fixture
async def postgres(services: Services) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Connect to the suite's database, to see and do there what the application cannot."""
    async with connected(Settings.from_strings(services.environment())) as connection:
        yield connection
