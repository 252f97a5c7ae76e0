"""The domain's tables, empty before each test, its service, and the application in a real server."""

from collections.abc import AsyncIterator

import httpx
import pytest

from app.domains.authors.service import AuthorService
from starpost.db import Database, Statements, UnitOfWork
from starpost.redis import RedisClients
from starpost.settings import Settings
from starpost.testing import Serve
from starpost.testing.issuer import Issuer
from starpost.testing.launched import Launched
from starpost.testing.plain_http import NO_TLS
from starpost.topics import Broker, Publisher
from starpost_dev.services.services import Services

READER, EDITOR, ADMIN = "author-reader", "author-editor", "admin"


@pytest.fixture(scope="session")
async def opened(services: Services) -> AsyncIterator[Database]:
    database = await Database(Settings.from_strings(services.environment())).open()
    yield database
    await database.close()


@pytest.fixture
async def database(opened: Database) -> Database:
    async with opened.connection() as connection:
        await connection.execute("TRUNCATE author, book RESTART IDENTITY")
    return opened


@pytest.fixture(scope="session")
async def broker(services: Services) -> AsyncIterator[Broker]:
    redis = RedisClients(Settings.from_strings(services.environment()))
    broker = Broker(redis)
    await broker.start()
    yield broker
    assert await broker.flush(20), "every event was published"
    await broker.stop()
    await redis.close()


@pytest.fixture
async def unit_of_work(database: Database) -> AsyncIterator[UnitOfWork]:
    async with UnitOfWork(database) as unit:
        yield unit


@pytest.fixture
def authors(database: Database, unit_of_work: UnitOfWork, broker: Broker) -> AuthorService:
    return AuthorService(Statements(database), Publisher(broker, unit_of_work.after_commit))


@pytest.fixture(scope="session", params=["fast", "without fast paths"])
def application(serve: Serve, request: pytest.FixtureRequest) -> Launched:
    """``python -m app``, as it is; then with Litestar's, Granian's and SQLAlchemy's own ways."""
    return serve() if request.param == "fast" else serve(FAST_PATHS="false")


@pytest.fixture
def tokens(issuer: Issuer) -> dict[str, str]:
    """One for each role, with the roles that it implies."""
    roles = {READER: [READER], EDITOR: [READER, EDITOR], ADMIN: [READER, EDITOR, ADMIN]}
    return {
        role: issuer.token(realm_access={"roles": implied}, resource_access=None) for role, implied in roles.items()
    }


@pytest.fixture
async def client(database: Database, application: Launched, tokens: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    """An administrator over HTTP."""
    async with httpx.AsyncClient(
        verify=NO_TLS,
        base_url=f"http://127.0.0.1:{application.port}",
        headers={"Authorization": f"Bearer {tokens[ADMIN]}"},
        trust_env=False,
    ) as client:
        yield client
