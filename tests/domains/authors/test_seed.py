from sqlalchemy import func, select

from app.domains.authors.models import Author, Book
from app.domains.authors.seed import BOOKS, seed
from starpost.db import Database, UnitOfWork


async def counts(database: Database) -> tuple[int, int]:
    async with database.new_session() as session:
        authors = await session.scalar(select(func.count(Author.id)))
        books = await session.scalar(select(func.count(Book.id)))
    assert authors is not None
    assert books is not None
    return authors, books


async def test_adds_what_is_missing_and_keeps_the_rest(database: Database) -> None:
    everything = (len(BOOKS), sum(map(len, BOOKS.values())))
    for _ in range(2):
        async with UnitOfWork(database) as unit:
            await seed(unit.session)
        assert await counts(database) == everything
    async with UnitOfWork(database) as unit:
        lem = await unit.session.scalar(select(Author).where(Author.name.startswith("Stan")))
        await unit.session.delete(lem)
        unit.session.add(Author(name="Another"))
    async with UnitOfWork(database) as unit:
        await seed(unit.session)
    assert await counts(database) == (everything[0] + 1, everything[1])
