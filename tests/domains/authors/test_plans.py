"""No list reads its whole table: each statement of the lists, explained on a hundred thousand rows."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, get_origin, get_type_hints

import msgspec
import pytest
from sqlalchemy import text

from app.domains.authors import packets
from app.domains.authors.schemas import AuthorFilters, AuthorQuery, BookQuery
from app.domains.authors.service import AuthorService
from starpost import Page
from starpost.db import Database, Statements, migrate
from starpost.settings import Settings
from starpost.topics import Publisher
from starpost_dev.services.services import Services

ROWS = 100_000
List = Callable[[AuthorService], Awaitable[Any]]


def authors(**query: Any) -> List:
    filters = AuthorFilters(**query.pop("filters", {}))
    return lambda service: service.page(AuthorQuery(filters=filters, **query))


def books(**query: Any) -> List:
    return lambda service: service.books(BookQuery(7, **query))


LISTS: dict[str, dict[str, List]] = {
    "get_authors": {
        "first page": authors(),
        "last page by offset": authors(page=101, per_page=100),
        "by cursor": authors(cursor=""),
        "identifiers": authors(filters={"id": [5, 7, 9]}),
        "identifier": authors(filters={"id": 5}),
        "part of a name": authors(filters={"name": "9c0ff"}),
        "no name": authors(filters={"name": "not there"}),
        "no name, by cursor": authors(filters={"name": "not there"}, cursor=""),
        "beginning": authors(filters={"name": "qq"}),
        "beginning, by cursor": authors(filters={"name": "q"}, cursor=""),
        "no letters": authors(filters={"name": "..."}),
        "every name": authors(filters={"name": "author"}),
    },
    "get_books": {
        "first page": books(),
        "last page by offset": books(page=101, per_page=100),
        "by cursor": books(cursor=""),
    },
}
SEQUENTIAL = {
    ("get_authors", "every name"): "the count finds 5,000 rows among the first, and stops",
}
"""Lists that may read a table row by row, each with the reason why that is bounded."""


@pytest.fixture(scope="module")
async def full(services: Services) -> AsyncIterator[Database]:
    of_the_run = Settings.from_strings(services.environment())
    database = await Database(of_the_run).open()
    async with database.connection() as connection:
        await connection.execute("CREATE DATABASE plans")
    await database.close()
    settings = msgspec.structs.replace(of_the_run, db_name="plans")
    await migrate.upgrade(settings)
    database = await Database(settings).open()
    async with database.engine.begin() as connection:
        for sql in (
            "INSERT INTO author (name) SELECT 'Author ' || md5(n::text) FROM generate_series(1, :rows) n",
            "INSERT INTO book (author_id, title) SELECT 1 + n % 1000, 'Book ' || n FROM generate_series(1, :rows) n",
        ):
            await connection.execute(text(sql.replace(":rows", str(ROWS))))
    async with database.connection() as driver:
        await driver.execute("VACUUM ANALYZE author, book")
    yield database
    await database.close()


async def plans_of(database: Database, ask: List) -> list[str]:
    """Run a list, and explain what it sent to PostgreSQL."""
    sent: list[tuple[str, tuple[Any, ...]]] = []

    class Recorded(Database):
        async def fetch(self, sql: str, *arguments: Any) -> Any:
            sent.append((sql, arguments))
            return await database.fetch(sql, *arguments)

    recorded = Recorded(Settings())
    await ask(AuthorService(Statements(recorded), Publisher(None, None)))  # type: ignore[arg-type]  # publishes nothing
    assert sent
    return [
        "\n".join(row[0] for row in await database.fetch(f"EXPLAIN {sql}", *arguments))
        for sql, arguments in sent
        if not sql.startswith("EXPLAIN")
    ]


CASES = [(name, case) for name, cases in LISTS.items() for case in cases]


@pytest.mark.parametrize(("name", "case"), CASES, ids=[f"{name}: {case}" for name, case in CASES])
async def test_no_list_reads_its_whole_table(full: Database, name: str, case: str) -> None:
    plans = await plans_of(full, LISTS[name][case])
    reads_all = any("Seq Scan" in plan for plan in plans)
    if (name, case) in SEQUENTIAL:
        assert reads_all, "it uses an index now: take it off the list"
    else:
        assert not reads_all, "\n\n".join(plans)


def test_every_list_of_the_domain_is_explained() -> None:
    lists = {
        name
        for name, handler in vars(packets).items()
        if callable(handler) and get_origin(get_type_hints(handler).get("return")) is Page
    }
    assert lists == LISTS.keys()


async def test_the_explanation_finds_a_table_that_is_read(full: Database) -> None:
    async with full.engine.begin() as connection:
        await connection.execute(text("DROP INDEX ix_author_name_contains, ix_author_name_begins"))
    for case in ("no name", "beginning"):
        assert any("Seq Scan" in plan for plan in await plans_of(full, LISTS["get_authors"][case]))
