"""The domain's tables, empty before each test, its service, and the application run in two ways."""

import pytest

from app.domains.authors.service import AuthorService
from starpost.db import Database, Statements, UnitOfWork
from starpost.testing import Issuer, Launched, Serve
from starpost.topics import Broker, Publisher

READER, EDITOR, ADMIN = "author-reader", "author-editor", "admin"


@pytest.fixture
async def database(opened: Database) -> Database:
    async with opened.connection() as connection:
        await connection.execute("TRUNCATE author, book RESTART IDENTITY")
    return opened


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
