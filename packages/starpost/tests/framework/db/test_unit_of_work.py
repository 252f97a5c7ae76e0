import asyncio
from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID

import httpx
import pytest
from litestar import Litestar, Request, Response, get
from litestar.di import NamedDependency
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from structlog.testing import capture_logs

from starpost.db import Database, Statements, UnitOfWork, database_dependencies, translate
from starpost.errors import ConflictError
from tests.framework.db.shelf import Item, Shelf

TAKEN = UUID(int=7)


async def labels(database: Database) -> list[str]:
    async with database.new_session() as session:
        return list(await session.scalars(select(Shelf.label).order_by(Shelf.id)))


async def test_commits(database: Database) -> None:
    async with UnitOfWork(database) as unit:
        unit.session.add(Shelf(label="a"))
        assert await labels(database) == []
    assert await labels(database) == ["a"]


@pytest.mark.parametrize("error", [RuntimeError, asyncio.CancelledError, KeyboardInterrupt])
async def test_rolls_back(database: Database, error: type[BaseException]) -> None:
    with pytest.raises(error):
        async with UnitOfWork(database) as unit:
            unit.session.add(Shelf(label="a"))
            await unit.session.flush()
            raise error
    assert await labels(database) == []
    assert database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


async def test_rolls_back_when_the_task_is_cancelled(database: Database) -> None:
    reached = asyncio.Event()

    async def work() -> None:
        async with UnitOfWork(database) as unit:
            unit.session.add(Shelf(label="a"))
            await unit.session.flush()
            reached.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await labels(database) == []
    assert database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


async def test_takes_a_connection_only_when_it_is_used(database: Database) -> None:
    async with UnitOfWork(database) as unit:
        assert unit.session is unit.session
        assert database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
        await unit.session.scalar(select(func.count(Shelf.id)))
        assert database.engine.pool.checkedout() == 1  # type: ignore[attr-defined]
    assert database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


async def test_calls_after_the_commit_in_order(database: Database) -> None:
    seen = []
    async with UnitOfWork(database) as unit:
        unit.after_commit(lambda: seen.append("first"))
        unit.after_commit(lambda: seen.append("second"))
        unit.session.add(Shelf(label="a"))
        await unit.session.flush()
        assert seen == []
    assert seen == ["first", "second"]


async def test_calls_nothing_after_a_rollback(database: Database) -> None:
    seen = []
    with pytest.raises(RuntimeError):
        async with UnitOfWork(database) as unit:
            unit.after_commit(lambda: seen.append("called"))
            raise RuntimeError
    assert seen == []


async def test_calls_nothing_when_the_commit_fails(database: Database) -> None:
    seen = []
    with pytest.raises(IntegrityError) as raised:
        async with UnitOfWork(database) as unit:
            unit.after_commit(lambda: seen.append("called"))
            unit.session.add_all([Item(title="a", code=TAKEN), Item(title="b", code=TAKEN)])
    assert isinstance(translate(raised.value), ConflictError)
    assert seen == []
    async with database.new_session() as session:
        assert await session.scalar(select(func.count(Item.id))) == 0


async def test_a_failing_call_changes_nothing(database: Database) -> None:
    seen = []

    def fail() -> None:
        raise RuntimeError("after")

    with capture_logs() as logs:
        async with UnitOfWork(database) as unit:
            unit.session.add(Shelf(label="a"))
            unit.after_commit(fail)
            unit.after_commit(lambda: seen.append("called"))
    assert seen == ["called"]
    assert [line["event"] for line in logs] == ["after_commit_failed"]
    assert await labels(database) == ["a"]


async def test_routes_get_it_by_name(database: Database) -> None:
    """Litestar gathers what dependencies raise while they end into an exception group."""
    seen: list[BaseException] = []

    @get("/twice")
    async def twice(
        session: NamedDependency[AsyncSession],
        unit_of_work: NamedDependency[UnitOfWork],
        statements: NamedDependency[Statements],
        other: NamedDependency[str],
    ) -> str:
        assert isinstance(statements, Statements)
        assert unit_of_work.session is session
        session.add_all([Item(title="a", code=TAKEN), Item(title="b", code=TAKEN)])
        return other

    @get("/once")
    async def once(session: NamedDependency[AsyncSession], other: NamedDependency[str]) -> str:
        session.add(Shelf(label="a"))
        return other

    @get("/fails")
    async def fails(session: NamedDependency[AsyncSession]) -> None:
        session.add(Shelf(label="b"))
        await session.flush()
        raise ConflictError("no")

    async def provide_other() -> AsyncGenerator[str, None]:
        yield "other"

    def remember(_request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
        seen.append(error)
        raise error

    app = Litestar(
        [once, twice, fails],
        dependencies={**database_dependencies(database), "other": provide_other},
        exception_handlers={Exception: remember},
    )
    # Litestar's own client would run the application in a loop of its own, where the pool's connections are not.
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)  # type: ignore[arg-type]  # narrower scopes
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        assert (await client.get("/once")).text == "other"
        assert await labels(database) == ["a"]
        assert (await client.get("/twice")).status_code == 500
        assert isinstance(translate(seen[0]), ConflictError)
        assert (await client.get("/fails")).status_code == 500
        assert isinstance(translate(seen[1]), ConflictError)
    assert await labels(database) == ["a"]
