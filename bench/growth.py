"""Growth of the data: time that lists take from PostgreSQL at a thousand rows, and at a million.

In this process, without sockets: what grows is the database's part.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from statistics import quantiles
from typing import Any, Final

import asyncpg
from sqlalchemy import Connection, text

from bench.authors import AuthorView, BenchAuthor
from starpost.db import Database, Statements
from starpost.errors import InvalidDataError
from starpost.settings import Settings
from starpost_dev.services.ephemeral import ephemeral_services

SIZES: Final = (1_000, 100_000, 1_000_000)
"""Rows of the table."""
RARE: Final = "f1c15925"
COMMON: Final = "name 777."
"""Parts of one name, the 777th, of which the second begins as a part of every name does."""

REFUSED: Final = "page beyond: refused"

Ask = Callable[[Statements], Awaitable[Any]]
Curve = Mapping[int, float]
"""Milliseconds by number of rows."""


def _page(**query: Any) -> Ask:
    return lambda statements: statements.get_paginated_results(BenchAuthor, view=AuthorView, **query)


def _by_cursor(**query: Any) -> Ask:
    return lambda statements: statements.get_cursor_results(BenchAuthor, view=AuthorView, **query)


async def _refused(statements: Statements) -> None:
    """Ask for a page too far behind."""
    try:
        await _page(page=10_000, per_page=100)(statements)
    except InvalidDataError:
        return
    raise RuntimeError("a page that skips a million rows was not refused")


CASES: Final[Mapping[str, Ask]] = {
    "first page, with its total": _page(per_page=20),
    "page by cursor": _by_cursor(per_page=20),
    "last page by offset (10,000 rows skipped)": _page(page=101, per_page=100),
    REFUSED: _refused,
    "part of a name, one hit": _page(filters={"name": RARE}),
    "part of a name, one hit, with a word of every name": _page(filters={"name": COMMON}),
    "part of a name, no hit": _page(filters={"name": "not there"}),
    "part of a name, every row": _page(filters={"name": "author"}),
    "one letter, no hit": _page(filters={"name": "q"}),
    "two letters, every row": _page(filters={"name": "au"}),
}
"""Lists by their titles."""


async def measure(sizes: Sequence[int], times: int) -> dict[str, Curve]:
    """Measure every case at every size, by the fastest tenth of calls: what else the machine does is not the lists'."""
    curves: dict[str, dict[int, float]] = {title: {} for title in CASES}
    with ephemeral_services() as services:
        settings = Settings.from_strings(services.environment())
        database = await Database(settings).open()
        try:
            statements = Statements(database)
            async with database.engine.begin() as engine:
                await engine.execute(text("CREATE EXTENSION pg_trgm"))
                await engine.run_sync(_create_table)
            for size in sizes:
                async with database.connection() as connection:
                    await _fill(connection, size)
                for title, ask in CASES.items():
                    curves[title][size] = await _milliseconds(ask, statements, times)
        finally:
            await database.close()
    return dict(curves)


def report(curves: Mapping[str, Curve]) -> str:
    """Return a table in Markdown: milliseconds by size, and how often the smallest goes into the largest."""
    sizes = list(next(iter(curves.values())))
    lines = [
        "| milliseconds | " + " | ".join(f"{size:,} rows" for size in sizes) + " | growth |",
        "|---|" + "---:|" * (len(sizes) + 1),
    ]
    for title, curve in curves.items():
        cells = " | ".join(f"{curve[size]:.2f}" for size in sizes)
        lines.append(f"| {title} | {cells} | {curve[sizes[-1]] / curve[sizes[0]]:.1f} times |")
    return "\n".join(lines)


def run(times: int) -> dict[str, Curve]:
    """Measure all."""
    return asyncio.run(measure(SIZES, times))


def costly(curves: Mapping[str, Curve]) -> dict[str, Curve]:
    """Return the curves of lists that ask PostgreSQL."""
    return {title: curve for title, curve in curves.items() if title != REFUSED}


def _create_table(connection: Connection) -> None:
    BenchAuthor.metadata.create_all(connection, tables=[BenchAuthor.__table__])  # type: ignore[list-item]


async def _fill(connection: "asyncpg.Connection[asyncpg.Record]", size: int) -> None:
    """Fill the table anew. Search indexes are made afterwards, which is faster."""
    indexes = await connection.fetch(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'bench_author' AND indexname LIKE 'ix_%'"
    )
    await connection.execute("TRUNCATE bench_author RESTART IDENTITY")
    for name, _ in indexes:
        await connection.execute(f"DROP INDEX {name}")
    await connection.execute("SET statement_timeout = 0")
    names = "SELECT 'Author ' || md5(n::text) || ' name ' || n || '.' FROM generate_series(1, $1) n"
    await connection.execute(f"INSERT INTO bench_author (name) {names}", size)
    for _, definition in indexes:
        await connection.execute(definition)
    await connection.execute("VACUUM ANALYZE bench_author")
    await connection.execute("RESET statement_timeout")


async def _milliseconds(ask: Ask, statements: Statements, times: int) -> float:
    taken = []
    for number in range(times + times // 4 + 1):
        began = time.perf_counter()
        await ask(statements)
        if number > times // 4:
            taken.append(1000 * (time.perf_counter() - began))
    return quantiles(taken, n=10, method="inclusive")[0]
