"""Statements of pages: by offset with a total, and by cursor. Nothing here accesses the database."""

import datetime as dt
from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Any, NamedTuple, Self, TypeVar

import msgspec
from msgspec import Meta
from sqlalchemy import BigInteger, bindparam, case, func, literal_column, select, tuple_, union_all
from sqlalchemy.orm import InstrumentedAttribute

from starpost.db.estimate import size_clause
from starpost.db.filters import Condition, conditions
from starpost.db.model import BaseModel
from starpost.db.statement import AnySelect, Statement, columns
from starpost.db.types import MAX_BIGINT, MAX_PAGE, MAX_PAGE_SIZE
from starpost.errors import FieldError, InvalidDataError

S = TypeVar("S", bound=msgspec.Struct)
ApplyFilters = Callable[[AnySelect], AnySelect]
Shape = tuple[Condition, ...]

COUNT_LIMIT = 5_000
"""Rows that a list counts for its total. Counting takes 0.05 ms for each thousand, on every page that is asked for."""
MAX_OFFSET = 10_000
"""Rows that a page may skip. PostgreSQL reads and discards them: a millisecond for ten thousand, 300 for a million."""

# Types of a cursor's values, by the column's type, with the bounds of PostgreSQL. Other types are used as they are.
_CURSOR_TYPES: dict[type[Any], Any] = {
    int: Annotated[int, Meta(ge=-MAX_BIGINT - 1, le=MAX_BIGINT)],
    str: Annotated[str, Meta(pattern=r"^[^\x00]*$")],
    dt.datetime: Annotated[dt.datetime, Meta(tz=True)],
}


class Ordering(NamedTuple):
    """Columns and their directions, the primary key last."""

    terms: tuple[tuple[str, bool], ...]
    """Pairs of a column's name and true if it descends."""

    @classmethod
    @lru_cache(maxsize=1024)
    def of(cls, model: type[BaseModel], order_by: tuple[str, ...]) -> Self:
        """Parse ``("-created_at", "name")``. The primary key takes the direction of the last term.

        Raises:
            ValueError: A column does not exist.
        """
        terms = [(term.removeprefix("-"), term.startswith("-")) for term in order_by]
        unknown = [name for name, _ in terms if name not in model.__mapper__.columns]
        if unknown:
            raise ValueError(f"{model.__name__} has no column {', '.join(unknown)}")
        if "id" not in (name for name, _ in terms):
            terms.append(("id", terms[-1][1] if terms else False))
        return cls(tuple(terms))

    def __str__(self) -> str:
        return ",".join(f"-{name}" if descends else name for name, descends in self.terms)

    def of_table(self, model: type[BaseModel]) -> str:
        """Return the name of this order of a table, for cursors."""
        return f"{model.__tablename__}:{self}"

    def columns(self, model: type[BaseModel]) -> list[InstrumentedAttribute[Any]]:
        """Return the columns."""
        return [getattr(model, name) for name, _ in self.terms]

    def apply(self, model: type[BaseModel], clause: AnySelect) -> AnySelect:
        """Add the ordering to ``clause``."""
        return clause.order_by(
            *(column.desc() if descends else column.asc() for column, (_, descends) in self._pairs(model))
        )

    def cursor_types(self, model: type[BaseModel]) -> list[Any]:
        """Return the types of a cursor's values.

        Raises:
            ValueError: The ordering cannot have cursors: a column may be NULL, or the directions differ.
        """
        if len({descends for _, descends in self.terms}) > 1:
            raise ValueError(f"{self}: the columns of a cursor are all ascending or all descending")
        types = []
        for name, _ in self.terms:
            column = model.__mapper__.columns[name]
            if column.nullable:
                raise ValueError(f"{name}: a column that may be NULL cannot be in a cursor")
            types.append(_CURSOR_TYPES.get(column.type.python_type, column.type.python_type))
        return types

    def _pairs(self, model: type[BaseModel]) -> list[tuple[InstrumentedAttribute[Any], tuple[str, bool]]]:
        return list(zip(self.columns(model), self.terms, strict=True))


def require_page(page: int, per_page: int, max_offset: int | None = None) -> None:
    """Check the bounds, for callers whose input does not use the types of ``types.py``, and the page's depth.

    Raises:
        InvalidDataError: One or both are out of bounds, or the page skips more than ``max_offset`` rows.
    """
    errors = []
    if not 1 <= page <= MAX_PAGE:
        errors.append(FieldError("$.page", f"Expected `int` from 1 to {MAX_PAGE}"))
    if not 1 <= per_page <= MAX_PAGE_SIZE:
        errors.append(FieldError("$.per_page", f"Expected `int` from 1 to {MAX_PAGE_SIZE}"))
    elif not errors and max_offset is not None and (page - 1) * per_page > max_offset:
        last = max_offset // per_page + 1
        msg = f"Expected `int` from 1 to {last} with {per_page} items per page; `cursor` reads on without a limit"
        errors.append(FieldError("$.page", msg))
    if errors:
        raise InvalidDataError.of(errors)


def offset_clause(
    model: type[BaseModel],
    view: type[msgspec.Struct],
    ordering: Ordering,
    shape: Shape,
    apply_filters: ApplyFilters | None = None,
) -> AnySelect:
    """Select a page, each row with the number of all rows as last column, ``total``.

    ``total`` is ``count_limit`` if there are as many rows or more. For a whole table it is then the estimate, with a
    minus, and NULL if there is none.

    Parameters: the shape's, ``row_limit``, ``row_offset``, ``count_limit``.
    """
    rows = _filtered(select(*columns(model, view)), model, shape, apply_filters)
    # PostgreSQL runs an uncorrelated subquery once, and can use the index and LIMIT for the rows. With
    # `count(*) OVER ()` it would read every column of every row first.
    total = count_clause(model, shape, apply_filters)
    if not shape and apply_filters is None:
        # One column, because each row repeats it; and only a table that was not counted is measured.
        counted = total.subquery().c.count
        estimate = -func.nullif(size_clause(model).scalar_subquery(), literal_column("0"))
        total = select(case((counted == bindparam("count_limit", type_=BigInteger), estimate), else_=counted))
    return (
        ordering.apply(model, rows)
        .add_columns(total.scalar_subquery().label("total"))
        .limit(bindparam("row_limit", type_=BigInteger))
        .offset(bindparam("row_offset", type_=BigInteger))
    )


def search_clause(
    model: type[BaseModel], view: type[msgspec.Struct], ordering: Ordering, shape: Shape, narrowed: Shape
) -> AnySelect:
    """Select what ``offset_clause`` does, for a shape with a search. PostgreSQL searches once for page and count.

    It keeps the keys of the rows that it counts. If these are all rows, the page is cut from them. Else many rows
    match, and it soon finds those of the page in the order of the list.

    Args:
        model: The table.
        view: The struct that a row becomes.
        ordering: Order of the list.
        shape: Shape of the filters.
        narrowed: The same filters, in the form that finds few rows faster.

    Parameters: those of ``offset_clause``, of which ``count_limit`` is not NULL, and of both shapes.
    """
    limit, offset = bindparam("row_limit", type_=BigInteger), bindparam("row_offset", type_=BigInteger)
    count_limit = bindparam("count_limit", type_=BigInteger)
    keys = [column.label(name) for column, (name, _) in zip(ordering.columns(model), ordering.terms, strict=True)]
    found = select(*keys).where(*conditions(model, narrowed)).limit(count_limit).cte()
    counted = select(func.count().label("count")).select_from(found).cte()
    count = select(counted.c.count).scalar_subquery()
    order = [found.c[name].desc() if descends else found.c[name].asc() for name, descends in ordering.terms]
    page = union_all(
        select(found.c.id).where(count < count_limit).order_by(*order).limit(limit).offset(offset),
        ordering.apply(model, select(model.id).where(*conditions(model, shape), count >= count_limit))
        .limit(limit)
        .offset(offset),
    )
    rows = select(*columns(model, view)).where(model.id.in_(page))
    return ordering.apply(model, rows).add_columns(count.label("total"))


def count_clause(model: type[BaseModel], shape: Shape, apply_filters: ApplyFilters | None = None) -> AnySelect:
    """Select the number of rows, of which ``count_limit`` are counted, all if it is NULL.

    Parameters: the shape's, ``count_limit``.
    """
    rows: AnySelect
    if apply_filters is None:
        rows = select(literal_column("1")).select_from(model).where(*conditions(model, shape))
    else:
        # In a subquery, because the list may have a LIMIT of its own.
        rows = select(literal_column("1")).select_from(matching_clause(model, shape, apply_filters).subquery())
    rows = rows.limit(bindparam("count_limit", type_=BigInteger))
    return select(func.count().label("count")).select_from(rows.subquery())


def matching_clause(model: type[BaseModel], shape: Shape, apply_filters: ApplyFilters | None = None) -> AnySelect:
    """Select the key of every row. Parameters: the shape's."""
    # Joins may repeat rows, and DISTINCT or GROUP BY merge them: these are the rows that the list shows.
    return _filtered(select(model.id), model, shape, apply_filters).order_by(None)


def keyset_clause(
    model: type[BaseModel],
    view: type[msgspec.Struct],
    ordering: Ordering,
    shape: Shape,
    is_following: bool,
    apply_filters: ApplyFilters | None = None,
) -> AnySelect:
    """Select rows by cursor, with the ordering columns after the view's.

    Parameters: the shape's, ``row_limit``, and for a following page ``after_0``, ``after_1`` ….
    """
    order_columns = ordering.columns(model)
    # Labelled: SQLAlchemy would otherwise select a column once that is in the view as well.
    keys = [column.label(f"key_{index}") for index, column in enumerate(order_columns)]
    rows = _filtered(select(*columns(model, view), *keys), model, shape, apply_filters)
    if is_following:
        after = tuple_(*(bindparam(f"after_{index}", type_=each.type) for index, each in enumerate(order_columns)))
        position = tuple_(*order_columns)
        rows = rows.where(position < after if ordering.terms[0][1] else position > after)
    return ordering.apply(model, rows).limit(bindparam("row_limit", type_=BigInteger))


# Bounded, because clients choose the shape, within the limits of the domain's payload.
@lru_cache(maxsize=1024)
def offset_statement(
    model: type[BaseModel], view: type[msgspec.Struct], ordering: Ordering, shape: Shape
) -> Statement[tuple[Any, ...]]:
    """Return ``offset_clause`` as a statement, made once for each shape."""
    return Statement(offset_clause(model, view, ordering, shape), tuple)


@lru_cache(maxsize=1024)
def search_statement(
    model: type[BaseModel], view: type[msgspec.Struct], ordering: Ordering, shape: Shape, narrowed: Shape
) -> Statement[tuple[Any, ...]]:
    """Return ``search_clause`` as a statement, made once for each pair of shapes."""
    return Statement(search_clause(model, view, ordering, shape, narrowed), tuple)


@lru_cache(maxsize=1024)
def count_statement(model: type[BaseModel], shape: Shape) -> Statement[int]:
    """Return ``count_clause`` as a statement, made once for each shape."""
    return Statement(count_clause(model, shape), int)


@lru_cache(maxsize=1024)
def matching_statement(model: type[BaseModel], shape: Shape) -> Statement[int]:
    """Return ``matching_clause`` as a statement, made once for each shape."""
    return Statement(matching_clause(model, shape), int)


@lru_cache(maxsize=1024)
def keyset_statement(
    model: type[BaseModel], view: type[msgspec.Struct], ordering: Ordering, shape: Shape, is_following: bool
) -> Statement[tuple[Any, ...]]:
    """Return ``keyset_clause`` as a statement, made once for each shape."""
    return Statement(keyset_clause(model, view, ordering, shape, is_following), tuple)


def _filtered(clause: AnySelect, model: type[BaseModel], shape: Shape, apply_filters: ApplyFilters | None) -> AnySelect:
    clause = clause.where(*conditions(model, shape))
    return clause if apply_filters is None else apply_filters(clause)
