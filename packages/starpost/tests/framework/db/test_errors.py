import asyncio
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import delete, insert, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from starpost.db import Database, Statements, translate
from starpost.errors import (
    AppError,
    ConflictError,
    FieldError,
    InvalidDataError,
    NotFoundError,
    TimeoutExceededError,
    UnavailableError,
)
from tests.framework.db.conftest import add_shelves
from tests.framework.db.shelf import Item, Shelf

DRIVER_FAULTS = (asyncpg.PostgresError, asyncpg.InterfaceError)


async def by_engine(database: Database, clause: Any) -> BaseException:
    """The fault, as SQLAlchemy tells it."""
    with pytest.raises(DBAPIError) as raised:
        async with database.engine.begin() as connection:
            await connection.execute(clause)
    return raised.value


async def by_driver(database: Database, clause: Any) -> BaseException:
    """The fault, as asyncpg tells it."""
    sql = clause.compile(dialect=database.engine.dialect)
    with pytest.raises(DRIVER_FAULTS) as raised:
        async with database.connection() as connection:
            await connection.execute(str(sql), *(sql.params[name] for name in sql.positiontup))
    return raised.value


@pytest.mark.parametrize("run", [by_engine, by_driver])
@pytest.mark.parametrize(
    ("clause", "kind", "msg", "errors"),
    [
        (
            insert(Shelf).values(label="a"),
            ConflictError,
            "The label is taken",
            (FieldError("$.name", "The label is taken"),),
        ),
        (
            insert(Item).values(shelf_id=1, title="t"),
            ConflictError,
            "A value that must be unique is taken",
            (
                FieldError("$.shelf_id", "A value that must be unique is taken"),
                FieldError("$.title", "A value that must be unique is taken"),
            ),
        ),
        (insert(Item).values(shelf_id=99, title="t"), NotFoundError, "No such shelf", ()),
        (delete(Shelf).where(Shelf.id == 1), ConflictError, "Something still refers to this", ()),
        (
            insert(Item).values(title="t", weight=-1),
            InvalidDataError,
            "Nothing weighs less than nothing",
            (FieldError("$.weight", "Nothing weighs less than nothing"),),
        ),
    ],
)
async def test_constraints(
    database: Database, run: Any, clause: Any, kind: type[AppError], msg: str, errors: tuple[FieldError, ...]
) -> None:
    await add_shelves(database, "a")
    async with database.engine.begin() as connection:
        await connection.execute(insert(Item).values(shelf_id=1, title="t"))
    found = translate(await run(database, clause))
    assert type(found) is kind
    assert (found.msg, found.errors) == (msg, errors)


async def test_foreign_keys_in_another_language(database: Database) -> None:
    """The server's texts may be in any language; what they are about is told by the names of the columns."""
    await add_shelves(database, "a")
    async with database.engine.begin() as connection:
        await connection.execute(insert(Item).values(shelf_id=1, title="t"))
    for clause, kind in (
        (insert(Item).values(shelf_id=99, title="t"), NotFoundError),
        (delete(Shelf).where(Shelf.id == 1), ConflictError),
    ):
        error: Any = await by_driver(database, clause)
        error.message = "Einfügen in Tabelle verletzt Fremdschlüssel-Constraint"
        error.detail = error.detail.replace("Key", "Schlüssel")
        assert type(translate(error)) is kind


@pytest.mark.parametrize("run", [by_engine, by_driver])
@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("SELECT 1/0", InvalidDataError),
        ("SELECT 'x'::int", InvalidDataError),
        ("SELECT convert_from('\\x00'::bytea, 'utf8')", InvalidDataError),
        ("DO $$ BEGIN RAISE SQLSTATE '40P01'; END $$", UnavailableError),
        ("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$", UnavailableError),
        ("DO $$ BEGIN RAISE SQLSTATE '53100'; END $$", UnavailableError),
        ("DO $$ BEGIN RAISE SQLSTATE '57P03'; END $$", UnavailableError),
        ("DO $$ BEGIN RAISE SQLSTATE '25006'; END $$", UnavailableError),
        ("DO $$ BEGIN RAISE SQLSTATE '57014'; END $$", TimeoutExceededError),
        ("DO $$ BEGIN RAISE SQLSTATE '55P03'; END $$", TimeoutExceededError),
        ("SELECT FROM WHERE", None),
        ("SELECT * FROM nothing", None),
        ("INSERT INTO test_item (title) VALUES (NULL)", None),
    ],
)
async def test_states(database: Database, run: Any, sql: str, kind: type[AppError] | None) -> None:
    clause = text(sql)
    if run is by_driver:
        with pytest.raises(DRIVER_FAULTS) as raised:
            async with database.connection() as connection:
                await connection.execute(sql)
        error: BaseException = raised.value
    else:
        error = await by_engine(database, clause)
    found = translate(error)
    assert type(found) is (kind or type(None))
    assert found is None or "SELECT" not in found.msg


@pytest.mark.parametrize("argument", [2**70, "text", "\ud800"])
async def test_arguments_that_the_driver_cannot_encode(database: Database, argument: Any) -> None:
    kind = "text" if argument == "\ud800" else "bigint"
    with pytest.raises(Exception, match="invalid input") as raised:
        async with database.connection() as connection:
            await connection.fetch(f"SELECT $1::{kind}", argument)
    assert type(translate(raised.value)) is InvalidDataError


async def test_nul_is_refused_by_the_server(database: Database) -> None:
    for run in (by_engine, by_driver):
        assert type(translate(await run(database, insert(Shelf).values(label="a\0")))) is InvalidDataError


async def test_a_closed_connection_is_unavailable(database: Database) -> None:
    async with database.connection() as connection:
        await connection.close()
        with pytest.raises(Exception, match="closed") as raised:
            await connection.fetch("SELECT 1")
    assert type(translate(raised.value)) is UnavailableError
    await database.ping()


async def test_groups_are_looked_into(database: Database) -> None:
    fault = await by_engine(database, insert(Item).values(shelf_id=99, title="t"))
    assert isinstance(fault, IntegrityError)
    group = ExceptionGroup("outer", [RuntimeError(), ExceptionGroup("inner", [ValueError(), fault])])
    assert type(translate(group)) is NotFoundError
    assert translate(ExceptionGroup("outer", [RuntimeError()])) is None


@pytest.mark.parametrize("error", [OSError(), TimeoutError(), asyncio.CancelledError(), ValueError(), KeyError()])
def test_other_faults_are_not_the_databases(error: BaseException) -> None:
    assert translate(error) is None


def test_application_errors_stay() -> None:
    error = ConflictError("x")
    assert translate(error) is error


async def test_a_constraint_that_no_model_declares(database: Database, statements: Statements) -> None:
    async with database.connection() as connection:
        await connection.execute("CREATE TABLE test_undeclared (id uuid UNIQUE)")
        await connection.execute("INSERT INTO test_undeclared VALUES ($1)", UUID(int=1))
        with pytest.raises(Exception, match="duplicate key") as raised:
            await connection.execute("INSERT INTO test_undeclared VALUES ($1)", UUID(int=1))
    found = translate(raised.value)
    assert type(found) is ConflictError
    assert found.errors == ()


async def test_the_parameters_of_a_failed_statement_stay_out_of_its_exception(database: Database) -> None:
    """It goes to the log; they are somebody's data."""
    clause = text("SELECT 1 / (length(CAST(:it AS text)) - 7)").bindparams(it="hunter2")
    assert "hunter2" not in str(await by_engine(database, clause))
