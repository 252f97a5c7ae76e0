"""Service of authors and books, which packets and routes share."""

import msgspec
from litestar.di import NamedDependency
from msgspec import UNSET
from sqlalchemy import Integer, bindparam, delete, insert, select, update

from app.domains.authors.models import Author, Book
from app.domains.authors.schemas import (
    AuthorName,
    AuthorQuery,
    AuthorRename,
    AuthorView,
    AuthorWithBooks,
    BookCreate,
    BookQuery,
    BookView,
)
from app.domains.authors.topics import AUTHORS, AuthorEvent
from starpost import (
    FieldError,
    InvalidDataError,
    Page,
    Publisher,
    Statement,
    Statements,
    columns,
)

MAX_BOOKS = 1000
NO_AUTHOR = "There is no such author"
PAGE_OR_CURSOR = FieldError("$.page", "Give either `page` or `cursor`")

ADD_AUTHOR = Statement(
    insert(Author).values(name=bindparam("name")).returning(*columns(Author, AuthorView)),
    AuthorView,
)
RENAME_AUTHOR = Statement(
    update(Author)
    .where(Author.id == bindparam("author_id"))
    .values(name=bindparam("new_name"))
    .returning(*columns(Author, AuthorView)),
    AuthorView,
    missing=NO_AUTHOR,
)
DELETE_AUTHOR = Statement(
    delete(Author).where(Author.id == bindparam("author_id")).returning(*columns(Author, AuthorView)),
    AuthorView,
    missing=NO_AUTHOR,
)
FIND_AUTHOR = Statement(
    select(*columns(Author, AuthorView)).where(Author.id == bindparam("author_id")),
    AuthorView,
    missing=NO_AUTHOR,
)
FIRST_BOOKS = Statement(
    select(*columns(Book, BookView))
    .where(Book.author_id == bindparam("author_id"))
    .order_by(Book.id)
    .limit(bindparam("count", type_=Integer)),
    BookView,
)
ADD_BOOK = Statement(
    insert(Book).values(author_id=bindparam("author_id"), title=bindparam("title")).returning(*columns(Book, BookView)),
    BookView,
)


class AuthorService:
    """Authors and their books.

    One transaction model: every write is one statement. PostgreSQL makes a transaction of it, in one round trip. A
    service whose writes belong together takes ``UnitOfWork`` in place of ``Statements``.

    Every method may raise what the framework makes of the database's faults: ``UnavailableError``,
    ``TimeoutExceededError``.

    Args:
        statements: Runs them.
        events: Tells the subscribers of ``AUTHORS``.
    """

    def __init__(self, statements: Statements, events: Publisher) -> None:
        self._statements = statements
        self._events = events

    async def page(self, query: AuthorQuery) -> Page[AuthorView]:
        """A page of authors, oldest first; by cursor if the query has one.

        Raises:
            InvalidDataError: Both a page and a cursor, or a cursor of another list.
        """
        filters = msgspec.structs.asdict(query.filters)
        if query.cursor is UNSET:
            return await self._statements.get_paginated_results(
                Author, view=AuthorView, page=query.page, per_page=query.per_page, filters=filters
            )
        if query.page is not UNSET:
            raise InvalidDataError.of([PAGE_OR_CURSOR])
        return await self._statements.get_cursor_results(
            Author, view=AuthorView, cursor=query.cursor, per_page=query.per_page, filters=filters
        )

    async def get(self, author_id: int) -> AuthorWithBooks:
        """One author with the first ``MAX_BOOKS`` books.

        Raises:
            NotFoundError: There is none.
        """
        author = await self._statements.one(FIND_AUTHOR, author_id=author_id)
        books = await self._statements.all(FIRST_BOOKS, author_id=author_id, count=MAX_BOOKS)
        return AuthorWithBooks(author.id, author.name, author.created_at, books)

    async def create(self, author: AuthorName) -> AuthorView:
        """Add an author.

        Raises:
            ConflictError: The name is taken.
        """
        created = await self._statements.one(ADD_AUTHOR, name=author.name)
        self._events.publish(AUTHORS, AuthorEvent("created", created))
        return created

    async def rename(self, author: AuthorRename) -> AuthorView:
        """Give an author another name.

        Raises:
            NotFoundError: There is no such author.
            ConflictError: The name is taken.
        """
        renamed = await self._statements.one(RENAME_AUTHOR, author_id=author.id, new_name=author.name)
        self._events.publish(AUTHORS, AuthorEvent("updated", renamed))
        return renamed

    async def delete(self, author_id: int) -> None:
        """Remove an author and all of their books.

        Raises:
            NotFoundError: There is no such author.
        """
        deleted = await self._statements.one(DELETE_AUTHOR, author_id=author_id)
        self._events.publish(AUTHORS, AuthorEvent("deleted", deleted))

    async def books(self, query: BookQuery) -> Page[BookView]:
        """A page of an author's books, oldest first; by cursor if the query has one.

        Raises:
            NotFoundError: There is no such author.
            InvalidDataError: Both a page and a cursor, or a cursor of another list.
        """
        filters = {"author_id": query.author_id}
        if query.cursor is UNSET:
            books = await self._statements.get_paginated_results(
                Book, view=BookView, page=query.page, per_page=query.per_page, filters=filters
            )
        elif query.page is not UNSET:
            raise InvalidDataError.of([PAGE_OR_CURSOR])
        else:
            books = await self._statements.get_cursor_results(
                Book, view=BookView, cursor=query.cursor, per_page=query.per_page, filters=filters
            )
        if not books.items:
            # An author without books, or none at all.
            await self._statements.one(FIND_AUTHOR, author_id=query.author_id)
        return books

    async def add_book(self, book: BookCreate) -> BookView:
        """Add a book to an author.

        Raises:
            NotFoundError: There is no such author.
        """
        return await self._statements.one(ADD_BOOK, author_id=book.author_id, title=book.title)


def provide_authors(statements: NamedDependency[Statements], events: NamedDependency[Publisher]) -> AuthorService:
    """The service for one packet or request."""
    return AuthorService(statements, events)
