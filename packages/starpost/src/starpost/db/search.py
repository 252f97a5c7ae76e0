"""Search for a part of a text, by indexes.

A trigram index finds a part of three letters and more anywhere in the text. One or two letters have no trigram, and so
have three characters such as ``...``: an ordinary index finds the texts that begin with them. Models declare both;
migrations make them by ``starpost.db.operations``::

    @searchable("title")
    class Review(BaseModel):
        title: Mapped[str] = mapped_column(String(100))
"""

import hashlib
from collections.abc import Callable
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Index, func, text
from sqlalchemy.orm import InstrumentedAttribute

from starpost.db.model import BaseModel

M = TypeVar("M", bound=type[BaseModel])

EXTENSION: Final = "pg_trgm"
"""The extension of PostgreSQL that has the operators of a trigram index."""
MIN_PART: Final = 3
"""Letters of the shortest text that is searched for anywhere in a searchable column."""
BEGINNINGS: Final = "text_pattern_ops"
"""Operators of the index of beginnings, which compares bytes: ``LIKE`` cannot use the order of a language."""
TRIGRAMS: Final = "gin_trgm_ops"
"""Operators of the trigram index."""
BEGINNING: Final = "starpost_beginning_of_"
"""Prefix of the label of the first letters in lower case. No more are searched for, and long texts fit no index."""
MAX_IDENTIFIER: Final = 63
"""Characters that PostgreSQL keeps of a name."""

_IS_SEARCHABLE = "starpost_is_searchable"
_NEEDS = "starpost_needs_extension"


def searchable(*columns: str) -> Callable[[M], M]:
    """Declare text columns of a model searchable: a filter by a part of the text uses an index.

    A filter that has no trigram, such as one or two letters, then finds the texts that begin with it, in either case,
    and no others.

    Raises:
        KeyError: There is no such column.
    """

    def declare(model: M) -> M:
        table: Any = model.__table__
        for name in columns:
            column = table.columns[name]
            column.info[_IS_SEARCHABLE] = True
            begins, contains = index_names(table.name, name)
            label = f"{BEGINNING}{name}"
            Index(begins, func.lower(func.left(column, MIN_PART - 1)).label(label), postgresql_ops={label: BEGINNINGS})
            trigrams = Index(contains, column, postgresql_using="gin", postgresql_ops={name: TRIGRAMS})
            trigrams.info[_NEEDS] = EXTENSION
            trigrams.ddl_if(callable_=_is_possible)  # type: ignore[arg-type]  # a protocol of positional names
        return model

    return declare


def is_searchable(column: InstrumentedAttribute[Any]) -> bool:
    """Return whether the column was declared searchable."""
    return _IS_SEARCHABLE in column.info


def has_trigram(part: str) -> bool:
    """Return whether PostgreSQL can look for the part in a trigram index.

    Trigrams are of words, which have letters and digits, with two blanks before each word and one after it. The first
    word of a part may go on before it, so a single letter there makes none.
    Source: ``generate_wildcard_trgm`` in ``contrib/pg_trgm/trgm_op.c``.
    """
    return len(part) >= MIN_PART and any(character.isalpha() or character.isdecimal() for character in part[1:])


def index_names(table: str, column: str) -> tuple[str, str]:
    """Return the names of the index of beginnings and of the trigram index."""
    return _name(f"ix_{table}_{column}", "_begins"), _name(f"ix_{table}_{column}", "_contains")


def _name(begin: str, end: str) -> str:
    if len(begin) + len(end) <= MAX_IDENTIFIER:
        return begin + end
    digest = hashlib.sha256(begin.encode()).hexdigest()[:8]
    return begin[: MAX_IDENTIFIER - len(digest) - len(end)] + digest + end


def needed_extension(index: Index) -> str | None:
    """Return the extension without which the index cannot be made."""
    return index.info.get(_NEEDS)


def has_extension(connection: Connection, extension: str) -> bool:
    """Return whether the database has the extension."""
    found = connection.scalar(text("SELECT 1 FROM pg_extension WHERE extname = :name").bindparams(name=extension))
    return found is not None


def _is_possible(_ddl: Any, _target: Any, bind: Connection | None, **_: Any) -> bool:
    """Return whether ``create_all`` makes the trigram index."""
    return bind is not None and has_extension(bind, EXTENSION)
