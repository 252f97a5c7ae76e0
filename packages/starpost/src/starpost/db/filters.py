"""Filters from a client: a mapping becomes conditions.

The *shape* of a filter (column and kind of condition) determines the SQL, its value does not. So each shape is compiled
once.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from msgspec import UNSET
from sqlalchemy import ARRAY, Boolean, ColumnElement, any_, bindparam, func, literal_column, or_
from sqlalchemy.orm import InstrumentedAttribute

from starpost.db.model import BaseModel
from starpost.db.search import MIN_PART, has_trigram, is_searchable
from starpost.db.types import MAX_BIGINT
from starpost.errors import FieldError, InvalidDataError

MAX_ALTERNATIVES = 1000
MAX_WORDS = 3
"""Words of a text, of which each is estimated on its own."""


IS_PLANNED = "is_planned"
"""Parameter of ``words``, always true."""
# PostgreSQL plans the first calls of a prepared statement for their values, and may then take one plan for all: here
# that walks the whole table. So a plan for any value has a part of which PostgreSQL expects that it takes for ever. In
# a plan for the values it is not there, as the parameter is true. Nothing ever runs it.
_PLANNED = or_(
    bindparam(IS_PLANNED, type_=Boolean), literal_column("(SELECT count(*) FROM generate_series(1, 1000000000)) > 0")
)


class Condition(NamedTuple):
    """Shape of one filter; ``kind`` is ``equal``, ``in``, ``contains``, ``begins``, ``opens``, ``words`` or ``null``.

    ``begins`` is about one or two characters, ``opens`` about more. ``words`` means ``contains``, by one of the words.
    """

    column: str
    kind: str

    @property
    def is_search(self) -> bool:
        """True if it is about a part of a text."""
        return self.kind in {"contains", "begins", "opens", "words"}


class Filters(NamedTuple):
    """Shapes, ordered by column name, and their parameters."""

    shape: tuple[Condition, ...]
    parameters: dict[str, Any]


def parse(model: type[BaseModel], filters: Mapping[str, Any] | None) -> Filters:
    """Parse filters: a string means contained, ignoring case; a list IN; ``None`` IS NULL; other values equality.

    Text that a trigram index cannot find, such as one or two letters, means the beginning if the column is
    ``searchable``. ``msgspec.UNSET`` means no filter.

    Raises:
        InvalidDataError: An unknown column, a value of another type than the column, or one that PostgreSQL cannot
            store; the error lists every one.
    """
    if not filters:
        return Filters((), {})
    shape: list[Condition] = []
    parameters: dict[str, Any] = {}
    errors: list[FieldError] = []
    given = {name: value for name, value in filters.items() if value is not UNSET}
    for name in sorted(given):
        value = given[name]
        fault = _fault(model, name, value)
        if fault is not None:
            errors.append(FieldError(f"$.filters.{name}", fault))
            continue
        kind = _kind(getattr(model, name), value)
        shape.append(Condition(name, kind))
        if kind == "contains":
            parameters[f"filter_{name}"] = f"%{escape_like(value)}%"
        elif kind in {"begins", "opens"}:
            parameters[f"filter_{name}"] = f"{escape_like(value[: MIN_PART - 1])}%"
            if kind == "opens":
                parameters[f"whole_{name}"] = f"{escape_like(value)}%"
        elif kind != "null":
            parameters[f"filter_{name}"] = value
    if errors:
        raise InvalidDataError.of(errors)
    return Filters(tuple(shape), parameters)


def conditions(model: type[BaseModel], shape: Sequence[Condition]) -> list[ColumnElement[bool]]:
    """Return the WHERE clauses of a shape. Parameters: ``filter_``, ``whole_`` or ``word_``, and the column."""
    return [_condition(getattr(model, name), kind, name) for name, kind in shape]


def words_of(model: type[BaseModel], condition: Condition, parameters: Mapping[str, Any]) -> list[str]:
    """Return the patterns of single words of a text for which rows are searched by a trigram index, the longest first.

    They are words by which the index can search, ``MAX_WORDS`` at most.
    """
    if condition.kind != "contains" or not is_searchable(getattr(model, condition.column)):
        return []
    whole: str = parameters[f"filter_{condition.column}"]
    words = dict.fromkeys(word for word in whole[1:-1].split() if has_trigram(word))
    return [f"%{word}%" for word in sorted(words, key=len, reverse=True)[:MAX_WORDS]]


def escape_like(text: str) -> str:
    r"""Return a LIKE pattern that matches ``text`` itself; the escape character is ``\``."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _condition(column: InstrumentedAttribute[Any], kind: str, name: str) -> ColumnElement[bool]:
    parameter = f"filter_{name}"
    match kind:
        case "null":
            return column.is_(None)
        case "in":
            # One array instead of one parameter per value, so that the SQL is the same for every length.
            return column == any_(bindparam(parameter, type_=ARRAY(column.type)))
        case "contains":
            return column.ilike(bindparam(parameter, type_=column.type), escape="\\")
        case "words":
            # Without a meaning, `|| ''` keeps the other words from the index.
            whole = column.concat(literal_column("''")).ilike(bindparam(parameter, type_=column.type), escape="\\")
            return column.ilike(bindparam(f"word_{name}", type_=column.type), escape="\\") & whole & _PLANNED
        case "begins" | "opens":
            # ILIKE compares in lower case, too, but not by an ordinary index.
            beginning = func.lower(func.left(column, MIN_PART - 1))
            begins = beginning.like(func.lower(bindparam(parameter, type_=column.type)), escape="\\")
            if kind == "begins":
                return begins
            return begins & column.ilike(bindparam(f"whole_{name}", type_=column.type), escape="\\")
    return column == bindparam(parameter, type_=column.type)


def _kind(column: InstrumentedAttribute[Any], value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        if not value or not is_searchable(column) or has_trigram(value):
            return "contains"
        return "begins" if len(value) < MIN_PART else "opens"
    return "in" if isinstance(value, list | tuple | set | frozenset) else "equal"


def _fault(model: type[BaseModel], name: str, value: Any) -> str | None:
    column = model.__mapper__.columns.get(name)
    if column is None:
        return "Unknown filter"
    type_ = column.type.python_type
    if value is None:
        return None
    if not isinstance(value, list | tuple | set | frozenset):
        return _value_fault(type_, value)
    if len(value) > MAX_ALTERNATIVES:
        return f"Expected at most {MAX_ALTERNATIVES} values"
    return next((fault for each in value if (fault := _value_fault(type_, each)) is not None), None)


def _value_fault(type_: type[Any], value: Any) -> str | None:
    # In Python a bool is an int, in PostgreSQL it is not.
    if not isinstance(value, type_) or (isinstance(value, bool) and type_ is not bool):
        return f"Expected `{type_.__name__}`, got `{type(value).__name__}`"
    if isinstance(value, str) and "\0" in value:
        return "Expected text without NUL"
    if isinstance(value, int) and not -MAX_BIGINT - 1 <= value <= MAX_BIGINT:
        return "Expected a 64-bit integer"
    if isinstance(value, dt.datetime) and value.tzinfo is None:
        return "Expected a time with its offset"
    return None
