"""What can be done with authors; packets and HTTP do it through this alone."""

import msgspec
from litestar.di import NamedDependency
from msgspec import UNSET
from sqlalchemy import bindparam, delete, insert, update

from starpost import Page, Publisher, Statement, Statements, Topic, columns
from tests.specimen.domains.authors.models import SpecimenAuthor
from tests.specimen.domains.authors.schemas import AuthorEvent, AuthorName, AuthorQuery, AuthorRename, AuthorView
from tests.specimen.pkg_ids import PkgID

AUTHORS = Topic("authors", event=AuthorEvent, pkg_id=PkgID.AUTHOR_EVENT, summary="Authors come, change and go.")

NO_AUTHOR = "There is no such author"
ADD = Statement(
    insert(SpecimenAuthor).values(name=bindparam("name")).returning(*columns(SpecimenAuthor, AuthorView)), AuthorView
)
RENAME = Statement(
    update(SpecimenAuthor)
    .where(SpecimenAuthor.id == bindparam("author_id"))
    .values(name=bindparam("new_name"))
    .returning(*columns(SpecimenAuthor, AuthorView)),
    AuthorView,
    missing=NO_AUTHOR,
)
DELETE = Statement(
    delete(SpecimenAuthor)
    .where(SpecimenAuthor.id == bindparam("author_id"))
    .returning(*columns(SpecimenAuthor, AuthorView)),
    AuthorView,
    missing=NO_AUTHOR,
)


class AuthorService:
    """The authors; every change is told to the subscribers."""

    def __init__(self, statements: Statements, events: Publisher) -> None:
        self._statements = statements
        self._events = events

    async def page(self, query: AuthorQuery) -> Page[AuthorView]:
        """A page of authors, oldest first; by cursor if the query has one."""
        filters = msgspec.structs.asdict(query.filters)
        if query.cursor is UNSET:
            return await self._statements.get_paginated_results(
                SpecimenAuthor, view=AuthorView, page=query.page, per_page=query.per_page, filters=filters
            )
        return await self._statements.get_cursor_results(
            SpecimenAuthor, view=AuthorView, cursor=query.cursor, per_page=query.per_page, filters=filters
        )

    async def create(self, author: AuthorName) -> AuthorView:
        """Add an author."""
        created = await self._statements.one(ADD, name=author.name)
        self._events.publish(AUTHORS, AuthorEvent("created", created))
        return created

    async def rename(self, author: AuthorRename) -> AuthorView:
        """Give an author another name."""
        renamed = await self._statements.one(RENAME, author_id=author.id, new_name=author.name)
        self._events.publish(AUTHORS, AuthorEvent("updated", renamed))
        return renamed

    async def delete(self, author_id: int) -> None:
        """Remove an author."""
        deleted = await self._statements.one(DELETE, author_id=author_id)
        self._events.publish(AUTHORS, AuthorEvent("deleted", deleted))


def provide_authors(statements: NamedDependency[Statements], events: NamedDependency[Publisher]) -> AuthorService:
    """The service for one packet or request."""
    return AuthorService(statements, events)
