"""Example data of this domain."""

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.domains.authors.models import Author, Book

BOOKS = {
    "Ursula K. Le Guin": ("A Wizard of Earthsea", "The Left Hand of Darkness", "The Dispossessed"),
    "Stanisław Lem": ("Solaris", "The Cyberiad"),
    "Octavia E. Butler": ("Kindred", "Parable of the Sower"),
    "Ted Chiang": (),
}


async def seed(session: AsyncSession) -> None:
    """Add the authors and books that are missing; whatever else is there stays."""
    await session.execute(insert(Author).on_conflict_do_nothing(), [{"name": name} for name in BOOKS])
    authors = {
        author.name: author.id
        for author in await session.scalars(select(Author).where(Author.name.in_(BOOKS)).order_by(Author.id))
    }
    there = {
        (book.author_id, book.title)
        for book in await session.scalars(select(Book).where(Book.author_id.in_(authors.values())))
    }
    session.add_all(
        Book(author_id=authors[name], title=title)
        for name, titles in BOOKS.items()
        for title in titles
        if (authors[name], title) not in there
    )
