"""What comes in and what goes out."""

import datetime as dt
from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from starpost import Cursor, Identifier, Name, PageNumber, PageSize, SearchText


class AuthorView(Struct, frozen=True):
    """An author, as a client sees it."""

    id: int
    name: str
    created_at: dt.datetime


class AuthorFilters(Struct, frozen=True):
    """Which authors."""

    name: SearchText | UnsetType = UNSET


class AuthorQuery(Struct, frozen=True):
    """Which page of which authors."""

    page: PageNumber | UnsetType = UNSET
    per_page: PageSize | UnsetType = UNSET
    cursor: Cursor | UnsetType = UNSET
    filters: AuthorFilters = AuthorFilters()


class AuthorName(Struct, frozen=True):
    """An author to add."""

    name: Name


class AuthorRename(Struct, frozen=True):
    """The new name of an author."""

    id: Identifier
    name: Name


class AuthorKey(Struct, frozen=True):
    """One author."""

    id: Identifier


class AuthorEvent(Struct, frozen=True):
    """What happened to an author."""

    event: Literal["created", "updated", "deleted"]
    author: AuthorView
