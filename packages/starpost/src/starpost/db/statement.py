"""Declaration of a single statement: its SQL, and the type of its rows."""

from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, TypeVar, cast

import asyncpg
import msgspec
from sqlalchemy import Delete, Dialect, Float, Insert, Numeric, Select, Update
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.types import TypeEngine

from starpost.db.model import BaseModel
from starpost.errors import InvalidDataError

T = TypeVar("T")

AnySelect = Select[*tuple[Any, ...]]
Clause = AnySelect | Insert | Update | Delete
NOT_STORABLE: Final = "The database cannot store one of the values"
_Processor = Callable[[Any], Any]


def columns(model: type[BaseModel], view: type[msgspec.Struct]) -> list[InstrumentedAttribute[Any]]:
    """Return the columns of ``model`` with the names of the fields of ``view``, in the order of the fields.

    Raises:
        TypeError: A field has no column.
    """
    missing = [name for name in view.__struct_fields__ if name not in model.__mapper__.columns]
    if missing:
        raise TypeError(f"{view.__name__}: {model.__name__} has no column {', '.join(missing)}")
    return [getattr(model, name) for name in view.__struct_fields__]


class Statement(Generic[T]):
    """SQL statement and the type that its rows become. Declare it once, in a module.

        RENAME = Statement(
            update(Author).where(Author.id == bindparam("author_id")).values(name=bindparam("new_name"))
            .returning(*columns(Author, AuthorView)),
            AuthorView, missing="There is no such author",
        )
        author = await statements.one(RENAME, author_id=7, new_name="Le Guin")

    Args:
        clause: A ``select``, or an ``insert``, ``update`` or ``delete`` with ``returning``; its ``bindparam``s
            without a value are the parameters. Lists: ``column == any_(bindparam("ids", type_=ARRAY(BigInteger)))``.
        view: A struct, built from the columns by position, not checked again; ``tuple``; or the type of the one column.
        missing: Message of the ``NotFoundError`` that ``one`` raises if there is no row.

    Raises:
        TypeError: The columns are not the fields of ``view``.
    """

    def __init__(self, clause: Clause, view: type[T], *, missing: str | None = None) -> None:
        self.clause = clause
        self.view = view
        self.missing = missing
        self.columns = list(clause.exported_columns)
        names = [column.key for column in self.columns]
        if issubclass(view, msgspec.Struct):
            if tuple(names) != view.__struct_fields__:
                raise TypeError(f"{view.__name__} has {view.__struct_fields__}, the statement gives {tuple(names)}")
        elif view is not tuple and len(names) != 1:
            raise TypeError(f"a {view.__name__} is made from one column, the statement gives {tuple(names)}")


class CompiledStatement(Generic[T]):
    """Statement for asyncpg: SQL, order and conversion of the arguments, conversion of the rows."""

    __slots__ = ("_binders", "_defaults", "_names", "_parameters", "_readers", "_statement", "sql")

    def __init__(self, statement: Statement[T], dialect: Dialect) -> None:
        compiled: Any = statement.clause.compile(dialect=dialect)
        if compiled.post_compile_params:
            raise TypeError("in_() is not compiled once; use column == any_(bindparam(name, type_=ARRAY(type)))")
        if compiled.insert_prefetch or compiled.update_prefetch:
            names = ", ".join(column.name for column in (*compiled.insert_prefetch, *compiled.update_prefetch))
            raise TypeError(
                f"{names}: a default made in Python is not applied here; use server_default, or give a value"
            )
        self._statement = statement
        self.sql = str(compiled)
        self._names: Sequence[str] = compiled.positiontup
        values: dict[str, Any] = compiled.construct_params(_check=False)
        required = {name for name, bind in compiled.binds.items() if bind.required}
        self._defaults = {name: value for name, value in values.items() if name not in required}
        self._parameters = required
        self._binders = {
            name: binder
            for name in self._names
            if name in compiled.binds and (binder := _binder(compiled.binds[name].type, dialect)) is not None
        }
        readers = [_reader(column.type, dialect) for column in statement.columns]
        self._readers = readers if any(readers) else None

    def arguments(self, parameters: dict[str, Any]) -> list[Any]:
        """Return the values in the order of the placeholders.

        Raises:
            TypeError: A parameter is missing or unknown.
            InvalidDataError: A time is before or after all that there are in UTC.
        """
        if parameters.keys() != self._parameters:
            raise TypeError(f"the statement takes {sorted(self._parameters)}, but got {sorted(parameters)}")
        values = {**self._defaults, **parameters} if self._defaults else parameters
        if not self._binders:
            return [values[name] for name in self._names]
        binders = self._binders
        try:
            return [binders[name](values[name]) if name in binders else values[name] for name in self._names]
        except OverflowError as error:
            raise InvalidDataError(NOT_STORABLE) from error

    def values(self, records: Sequence[asyncpg.Record]) -> Sequence[Any]:
        """Return the converted columns of each row, or the records themselves if no column needs a conversion."""
        readers = self._readers
        if readers is None:
            return records
        return [
            [read(value) if read else value for read, value in zip(readers, record, strict=True)] for record in records
        ]

    def rows(self, records: Sequence[asyncpg.Record]) -> list[T]:
        """Convert records to the view."""
        values = self.values(records)
        view: Any = self._statement.view
        if issubclass(view, msgspec.Struct):
            return [view(*row) for row in values]
        if view is tuple:
            return cast("list[T]", [tuple(row) for row in values])
        return [row[0] for row in values]


def _binder(type_: TypeEngine[Any], dialect: Dialect) -> _Processor | None:
    return type_.dialect_impl(dialect).bind_processor(dialect)


def _to_float(value: Any) -> float | None:
    return None if value is None else float(value)


def _reader(type_: TypeEngine[Any], dialect: Dialect) -> _Processor | None:
    if isinstance(type_, Numeric | Float):
        # SQLAlchemy's processor for these types needs the type of PostgreSQL, which we do not have. asyncpg returns a
        # Decimal or a float.
        return None if type_.asdecimal else _to_float
    return type_.dialect_impl(dialect).result_processor(dialect, None)
