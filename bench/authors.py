"""Domain of the bench: pages of a table and new rows, written as an application writes them."""

import datetime as dt
from typing import Literal

from litestar import get
from litestar.di import NamedDependency, Provide
from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import String, UniqueConstraint, bindparam, insert
from sqlalchemy.orm import Mapped, mapped_column

from bench.numbers import CREATE, CREATED, PAGE
from starpost import (
    BaseModel,
    Domain,
    Name,
    PackageRouter,
    Page,
    PageInQuery,
    PageNumber,
    PageSize,
    PageSizeInQuery,
    Publisher,
    RequestModel,
    Statement,
    Statements,
    Topic,
    columns,
    or_unset,
    searchable,
)


@searchable("name")
class BenchAuthor(BaseModel):
    """Table that is read and written."""

    __table_args__ = (UniqueConstraint("name"),)

    name: Mapped[str] = mapped_column(String(100))


class AuthorView(Struct, frozen=True):
    """Row, as a client sees it."""

    id: int
    name: str
    created_at: dt.datetime


class AuthorQuery(Struct, frozen=True):
    """Page to read."""

    page: PageNumber | UnsetType = UNSET
    per_page: PageSize | UnsetType = UNSET


class AuthorName(Struct, frozen=True):
    """Row to add."""

    name: Name


class AuthorEvent(Struct, frozen=True):
    """Event that every new row causes."""

    event: Literal["created"]
    author: AuthorView


AUTHORS = Topic("authors", event=AuthorEvent, pkg_id=CREATED)
ADD = Statement(
    insert(BenchAuthor).values(name=bindparam("name")).returning(*columns(BenchAuthor, AuthorView)), AuthorView
)


class AuthorService:
    """Service that packets and requests share."""

    def __init__(self, statements: Statements, events: Publisher) -> None:
        self._statements = statements
        self._events = events

    async def page(self, query: AuthorQuery) -> Page[AuthorView]:
        """Read a page, oldest first."""
        return await self._statements.get_paginated_results(
            BenchAuthor, view=AuthorView, page=query.page, per_page=query.per_page
        )

    async def create(self, author: AuthorName) -> AuthorView:
        """Add a row, and tell the subscribers."""
        created = await self._statements.one(ADD, name=author.name)
        self._events.publish(AUTHORS, AuthorEvent("created", created))
        return created


def provide_authors(statements: NamedDependency[Statements], events: NamedDependency[Publisher]) -> AuthorService:
    """Make the service of one packet or request."""
    return AuthorService(statements, events)


router = PackageRouter()


@router.register(PAGE)
async def get_authors(request: RequestModel[AuthorQuery], authors: AuthorService) -> Page[AuthorView]:
    """A page of authors."""
    return await authors.page(request.data)


@router.register(CREATE)
async def create_author(request: RequestModel[AuthorName], authors: AuthorService) -> AuthorView:
    """Add an author."""
    return await authors.create(request.data)


@get("/authors")
async def list_authors(
    authors: NamedDependency[AuthorService], page: PageInQuery = None, per_page: PageSizeInQuery = None
) -> Page[AuthorView]:
    """A page of authors."""
    return await authors.page(AuthorQuery(or_unset(page), or_unset(per_page)))


domain = Domain(
    name="authors",
    packets=[router],
    routes=[list_authors],
    topics=[AUTHORS],
    dependencies={"authors": Provide(provide_authors, sync_to_thread=False)},
)
