"""Real parts for the domains' tests: a database and a broker for the services, and the application in a real server.

Each domain has a fixture ``database``, whose tables it empties, and ``tokens`` by kind of user, ``admin`` among them.
"""

from collections.abc import AsyncIterator

import httpx
import pytest

from starpost.db import Database, UnitOfWork
from starpost.redis import RedisClients
from starpost.settings import Settings
from starpost.testing import Launched, Serve
from starpost.testing.plain_http import NO_TLS, PATIENCE
from starpost.topics import Broker
from starpost_dev.services.services import Services


@pytest.fixture(scope="session")
async def opened(services: Services) -> AsyncIterator[Database]:
    database = await Database(Settings.from_strings(services.environment())).open()
    yield database
    await database.close()


@pytest.fixture(scope="session")
async def broker(services: Services) -> AsyncIterator[Broker]:
    redis = RedisClients(Settings.from_strings(services.environment()))
    broker = Broker(redis)
    await broker.start()
    yield broker
    assert await broker.flush(PATIENCE), "every event was published"
    await broker.stop()
    await redis.close()


@pytest.fixture
async def unit_of_work(database: Database) -> AsyncIterator[UnitOfWork]:
    async with UnitOfWork(database) as unit:
        yield unit


@pytest.fixture(scope="session")
def application(serve: Serve) -> Launched:
    """``python -m app``, as an installation runs it."""
    return serve()


@pytest.fixture
async def client(database: Database, application: Launched, tokens: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    """An administrator over HTTP."""
    async with httpx.AsyncClient(
        verify=NO_TLS,
        base_url=f"http://127.0.0.1:{application.port}",
        headers={"Authorization": f"Bearer {tokens['admin']}"},
        timeout=PATIENCE,
        trust_env=False,
    ) as client:
        yield client
