import asyncio
from itertools import pairwise

import pytest

from app.domains.authors import service
from app.domains.authors.models import Book
from app.domains.authors.schemas import (
    AuthorFilters,
    AuthorName,
    AuthorQuery,
    AuthorRename,
    BookCreate,
    BookQuery,
    BookView,
)
from app.domains.authors.service import AuthorService
from starpost import ConflictError, CursorMeta, FieldError, InvalidDataError, NotFoundError, OffsetMeta
from starpost.db import Database, Statements, UnitOfWork, translate
from starpost.topics import Broker, Publisher
from tests.domains.authors.factories import AuthorNameFactory, BookTitleFactory


async def test_creates_and_finds(authors: AuthorService) -> None:
    wanted = AuthorNameFactory.build()
    created = await authors.create(wanted)
    assert created.name == wanted.name
    assert created.created_at.utcoffset() is not None
    found = await authors.get(created.id)
    assert (found.id, found.name, found.created_at, found.books) == (*_fields(created), [])


def _fields(author: object) -> tuple[object, object, object]:
    return author.id, author.name, author.created_at  # type: ignore[attr-defined]


async def test_a_name_is_taken_once_by_the_database(database: Database, broker: Broker) -> None:
    """Many at the same time: a check before the insert would let several through."""

    async def create() -> object:
        async with UnitOfWork(database) as unit:
            authors = AuthorService(Statements(database), Publisher(broker, unit.after_commit))
            return await authors.create(AuthorName("Le Guin"))

    results = await asyncio.gather(*(create() for _ in range(8)), return_exceptions=True)
    refused = [translate(result) for result in results if isinstance(result, BaseException)]
    assert len(refused) == 7
    for error in refused:
        assert isinstance(error, ConflictError)
        assert error.errors == (FieldError("$.name", "There is an author of this name"),)


async def test_renames(authors: AuthorService) -> None:
    first, second = [await authors.create(name) for name in AuthorNameFactory.batch(2)]
    renamed = await authors.rename(AuthorRename(first.id, "Ursula"))
    assert (renamed.id, renamed.name, renamed.created_at) == (first.id, "Ursula", first.created_at)
    assert (await authors.rename(AuthorRename(first.id, "Ursula"))).name == "Ursula"
    with pytest.raises(Exception, match="uq_author_name") as raised:
        await authors.rename(AuthorRename(second.id, "Ursula"))
    assert isinstance(translate(raised.value), ConflictError)


async def test_deleting_takes_the_books_along(database: Database, authors: AuthorService) -> None:
    gone, kept = [await authors.create(name) for name in AuthorNameFactory.batch(2)]
    for author in (gone, kept):
        await authors.add_book(BookCreate(author.id, BookTitleFactory.build().title))
    await authors.delete(gone.id)
    assert (await authors.books(BookQuery(kept.id))).meta == OffsetMeta(1, 20, 1, 1)
    remaining = await Statements(database).get_paginated_results(Book, view=BookView)
    assert [book.author_id for book in remaining.items] == [kept.id]


async def test_what_is_not_there(authors: AuthorService) -> None:
    for call in (
        authors.get(5),
        authors.rename(AuthorRename(5, "x")),
        authors.delete(5),
        authors.books(BookQuery(5)),
        authors.books(BookQuery(2**63 - 1, page=2)),
    ):
        with pytest.raises(NotFoundError, match="no such author"):
            await call
    with pytest.raises(Exception, match="fk_book_author_id_author") as raised:
        await authors.add_book(BookCreate(5, "x"))
    found = translate(raised.value)
    assert isinstance(found, NotFoundError)
    assert found.msg == "There is no such author"


async def test_books_come_with_the_author_in_order(authors: AuthorService) -> None:
    author, other = [await authors.create(name) for name in AuthorNameFactory.batch(2)]
    added = [await authors.add_book(BookCreate(author.id, book.title)) for book in BookTitleFactory.batch(4)]
    await authors.add_book(BookCreate(other.id, "another"))
    assert (await authors.get(author.id)).books == added


async def test_more_books_than_the_bound(database: Database, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MAX_BOOKS", 3)
    async with UnitOfWork(database) as unit:
        authors = AuthorService(Statements(database), Publisher(broker, unit.after_commit))
        author = await authors.create(AuthorNameFactory.build())
        added = [await authors.add_book(BookCreate(author.id, book.title)) for book in BookTitleFactory.batch(5)]
        assert (await authors.get(author.id)).books == added[:3]
        assert (await authors.books(BookQuery(author.id))).items == added


async def test_pages_of_books(authors: AuthorService) -> None:
    author = await authors.create(AuthorNameFactory.build())
    added = [await authors.add_book(BookCreate(author.id, book.title)) for book in BookTitleFactory.batch(5)]
    second = await authors.books(BookQuery(author.id, page=2, per_page=2))
    assert second.items == added[2:4]
    assert second.meta == OffsetMeta(2, 2, 5, 3)
    assert (await authors.books(BookQuery(author.id, page=9, per_page=2))).meta == OffsetMeta(9, 2, 5, 3)


async def test_books_by_cursor(authors: AuthorService) -> None:
    author = await authors.create(AuthorNameFactory.build())
    added = [await authors.add_book(BookCreate(author.id, title.title)) for title in BookTitleFactory.batch(3)]
    first = await authors.books(BookQuery(author.id, cursor="", per_page=2))
    assert isinstance(first.meta, CursorMeta)
    assert first.meta.next is not None
    rest = await authors.books(BookQuery(author.id, cursor=first.meta.next, per_page=2))
    assert [*first.items, *rest.items] == added
    assert rest.meta == CursorMeta(2, None, has_more=False)
    with pytest.raises(InvalidDataError) as raised:
        await authors.books(BookQuery(author.id, cursor="", page=1))
    assert [error.path for error in raised.value.errors] == ["$.page"]
    with pytest.raises(NotFoundError):
        await authors.books(BookQuery(author.id + 1000, cursor=""))


async def test_filters(authors: AuthorService) -> None:
    names = ["Anna 100%", "Bob", "annabel"]
    ids = [(await authors.create(AuthorName(name))).id for name in names]

    async def found(**filters: object) -> list[str]:
        query = AuthorQuery(filters=AuthorFilters(**filters))  # type: ignore[arg-type]
        return [author.name for author in (await authors.page(query)).items]

    assert await found() == names
    assert await found(name="ANNA") == ["Anna 100%", "annabel"]
    assert await found(name="00%") == ["Anna 100%"]
    assert await found(id=ids[1]) == ["Bob"]
    assert await found(id=[ids[2], ids[0]]) == ["Anna 100%", "annabel"]
    assert await found(id=ids, name="b") == ["Bob"], "one or two letters begin the name"


async def test_by_cursor(authors: AuthorService) -> None:
    created = [await authors.create(name) for name in AuthorNameFactory.batch(5)]
    seen, cursor = [], ""
    while True:
        page = await authors.page(AuthorQuery(cursor=cursor, per_page=2))
        seen += page.items
        assert isinstance(page.meta, CursorMeta)
        if page.meta.next is None:
            break
        cursor = page.meta.next
    assert seen == created
    assert all(a.id < b.id for a, b in pairwise(seen))
    with pytest.raises(InvalidDataError):
        await authors.page(AuthorQuery(cursor="x"))
    with pytest.raises(InvalidDataError) as raised:
        await authors.page(AuthorQuery(cursor="", page=1))
    assert [error.path for error in raised.value.errors] == ["$.page"]
