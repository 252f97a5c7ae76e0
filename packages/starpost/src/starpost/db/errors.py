"""Translation of database errors into errors for clients, the same for packets and for HTTP."""

import re
from collections.abc import Iterable
from typing import Any

import asyncpg
from advanced_alchemy.exceptions import NotFoundError as NoRowError
from advanced_alchemy.exceptions import RepositoryError
from asyncpg.exceptions._base import DataError as DriverDataError
from sqlalchemy import Constraint, ForeignKeyConstraint, Table
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from starpost.db.model import BaseModel
from starpost.db.statement import NOT_STORABLE
from starpost.errors import (
    AppError,
    ConflictError,
    FieldError,
    InvalidDataError,
    NotFoundError,
    TimeoutExceededError,
    UnavailableError,
)

# https://www.postgresql.org/docs/current/errcodes-appendix.html; the first two characters are the class.
_UNAVAILABLE_CLASSES = frozenset({"08", "28", "53", "58"})
_UNAVAILABLE = frozenset(
    {
        "25006",  # read-only: the server that we are connected to has become a standby
        "3D000",  # the database is not there (being restored, for example)
        "40001",  # serialization failure
        "40P01",  # deadlock
        "57P01",  # administrator shut it down
        "57P02",  # another backend crashed
        "57P03",  # starting up or shutting down
        "57P05",  # idle session timeout
    }
)
_TIMEOUT = frozenset(
    {
        "25P03",  # idle in transaction
        "25P04",  # transaction timeout
        "55P03",  # lock not available
        "57014",  # statement timeout, or cancelled
    }
)
_KEY = re.compile(r"\(([^()]+)\)=")


def translate(error: BaseException) -> AppError | None:
    """Return the application error for an error of the database; ``None`` if it is a fault of the program.

    Accepts errors of asyncpg, of SQLAlchemy and of advanced-alchemy's repositories, application errors (returned as
    they are) and groups of these: Litestar raises an ``ExceptionGroup`` when a dependency fails while it ends. No
    message contains SQL, a value or a host. For asyncio's ``TimeoutError`` and ``CancelledError``, which do not come
    from the database, the result is ``None``.
    """
    if isinstance(error, AppError):
        return error
    if isinstance(error, BaseExceptionGroup):
        return next((found for each in error.exceptions if (found := translate(each)) is not None), None)
    if isinstance(error, RepositoryError):
        # Its cause is an error of SQLAlchemy, except when a repository found no row.
        if isinstance(error, NoRowError):
            return NotFoundError()
        return None if error.__cause__ is None else translate(error.__cause__)
    if isinstance(error, PoolTimeoutError):
        return UnavailableError("No database connection is free")
    if isinstance(error, DBAPIError):
        # SQLAlchemy's error wraps that of its driver adapter, whose cause is asyncpg's.
        cause = error.orig.__cause__ if error.orig is not None else None
        if error.connection_invalidated:
            return UnavailableError()
        return None if cause is None else translate(cause)
    if isinstance(error, StatementError):
        # A type of SQLAlchemy could not convert a parameter: no time in UTC.
        return InvalidDataError(NOT_STORABLE) if isinstance(error.orig, OverflowError) else None
    if isinstance(error, asyncpg.PostgresError):
        return _of_server(error)
    if isinstance(error, asyncpg.InterfaceError):
        return _of_driver(error)
    return None


def _of_server(error: asyncpg.PostgresError) -> AppError | None:
    sqlstate = str(error.sqlstate or "")
    if sqlstate in _TIMEOUT:
        return TimeoutExceededError()
    if sqlstate in _UNAVAILABLE or sqlstate[:2] in _UNAVAILABLE_CLASSES:
        return UnavailableError()
    if sqlstate.startswith("22"):
        return InvalidDataError(NOT_STORABLE)
    if sqlstate.startswith("23"):
        return _of_constraint(error, sqlstate)
    return None


def _of_driver(error: asyncpg.InterfaceError) -> AppError | None:
    # asyncpg has two DataErrors: one for errors of the server, and this one for arguments that it cannot encode.
    if isinstance(error, DriverDataError):
        return InvalidDataError(NOT_STORABLE)
    # asyncpg has no class for a closed connection.
    return UnavailableError() if "connection is closed" in str(error) or "being closed" in str(error) else None


def _of_constraint(error: asyncpg.PostgresError, sqlstate: str) -> AppError | None:
    constraint = _constraint(error)
    info = _info(constraint)
    columns = () if constraint is None else tuple(column.name for column in _columns(constraint))
    paths = (info["path"],) if "path" in info else tuple(f"$.{name}" for name in columns)
    match sqlstate:
        case "23505" | "23P01":
            msg = info.get("msg", "A value that must be unique is taken")
            return ConflictError(msg, errors=[FieldError(path, msg) for path in paths])
        case "23503" if not _is_still_referenced(error, columns):
            return NotFoundError(info.get("msg", "Something that this refers to does not exist"))
        case "23503" | "23001":
            return ConflictError("Something still refers to this")
        case "23514":
            msg = info.get("msg", "A value is not allowed")
            return InvalidDataError(msg, errors=[FieldError(path, msg) for path in paths])
    # A missing value (23502) is a fault of the program: the type of the input requires every member that is needed.
    return None


def _is_still_referenced(error: asyncpg.PostgresError, columns: tuple[str, ...]) -> bool:
    """Return true if a row could not be deleted because it is referenced, false if a referenced row does not exist.

    PostgreSQL has one code for both, and its texts may be in any language. The key in the detail has the names of the
    referenced columns if a referenced row is deleted, else those of the referencing ones, which are ``columns``.
    """
    key = _KEY.search(error.detail or "")
    if key is None or not columns:
        return (error.message or "").startswith("update or delete")
    return tuple(name.strip(' "') for name in key[1].split(",")) != columns


def _constraint(error: asyncpg.PostgresError) -> Constraint | None:
    """Find the declared constraint that the error names; ``None`` if there is none."""
    for table in BaseModel.metadata.tables.values():
        if table.name == error.table_name and (table.schema or error.schema_name) == error.schema_name:
            return next((found for found in _all(table) if found.name == error.constraint_name), None)
    return None


def _all(table: Table) -> Iterable[Constraint]:
    return table.constraints


def _columns(constraint: Constraint) -> Iterable[Any]:
    return getattr(constraint, "columns", ())


def _info(constraint: Constraint | None) -> dict[str, str]:
    if constraint is None:
        return {}
    if isinstance(constraint, ForeignKeyConstraint) and not constraint.info:
        # `mapped_column(ForeignKey(..., info=...))` puts it on the element.
        return constraint.elements[0].info
    return constraint.info
