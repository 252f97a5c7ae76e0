"""Payloads and replies, the same over the socket and over HTTP."""

import datetime as dt
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from starpost import Cursor, Identifier, Line, Name, PageNumber, PageSize, SearchText

Title = Annotated[Line, Meta(min_length=1, max_length=200)]
MAX_IDENTIFIERS = 100
Identifiers = Annotated[list[Identifier], Meta(max_length=MAX_IDENTIFIERS, description="one of these")]


class AuthorView(Struct, frozen=True):
    """An author, as a client sees it."""

    id: int
    name: str
    created_at: dt.datetime


class BookView(Struct, frozen=True):
    """A book, as a client sees it."""

    id: int
    author_id: int
    title: str
    created_at: dt.datetime


class AuthorWithBooks(Struct, frozen=True):
    """An author and the first ``MAX_BOOKS`` of the books; GET_BOOKS has all, in pages."""

    id: int
    name: str
    created_at: dt.datetime
    books: list[BookView]


class AuthorFilters(Struct, frozen=True):
    """Filter of authors; all conditions must hold."""

    id: Identifier | Identifiers | UnsetType = UNSET
    name: SearchText | UnsetType = UNSET


class AuthorQuery(Struct, frozen=True):
    """Query for a page of authors. With ``cursor`` (empty for the first page) there is no ``page`` and no total."""

    page: PageNumber | UnsetType = UNSET
    per_page: PageSize | UnsetType = UNSET
    cursor: Cursor | UnsetType = UNSET
    filters: AuthorFilters = AuthorFilters()


class AuthorName(Struct, frozen=True):
    """An author to add, or the new name of one."""

    name: Name


class AuthorRename(Struct, frozen=True):
    """The new name of an author."""

    id: Identifier
    name: Name


class AuthorKey(Struct, frozen=True):
    """One author."""

    id: Identifier


class BookQuery(Struct, frozen=True):
    """Query for a page of an author's books, with ``page`` or ``cursor`` as for authors."""

    author_id: Identifier
    page: PageNumber | UnsetType = UNSET
    per_page: PageSize | UnsetType = UNSET
    cursor: Cursor | UnsetType = UNSET


class BookTitle(Struct, frozen=True):
    """A book to add to an author that the path names."""

    title: Title


class BookCreate(Struct, frozen=True):
    """A book to add."""

    author_id: Identifier
    title: Title
