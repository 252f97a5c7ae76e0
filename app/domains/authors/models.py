"""The tables: authors and their books."""

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from starpost import BaseModel, refusal, searchable


@searchable("name")
class Author(BaseModel):
    """Author of books. Names are unique."""

    __table_args__ = (UniqueConstraint("name", info=refusal("There is an author of this name")),)

    name: Mapped[str] = mapped_column(String(100))
    # PostgreSQL deletes the books with their author, so SQLAlchemy need not load them first.
    books: Mapped[list["Book"]] = relationship(
        back_populates="author", order_by="Book.id", cascade="all, delete-orphan", passive_deletes=True
    )


class Book(BaseModel):
    """Book of one author, deleted with the author."""

    # Index for pages of an author's books, in their order.
    __table_args__ = (Index(None, "author_id", "id"),)

    author_id: Mapped[int] = mapped_column(
        ForeignKey("author.id", ondelete="CASCADE", info=refusal("There is no such author"))
    )
    title: Mapped[str] = mapped_column(String(200))
    author: Mapped[Author] = relationship(back_populates="books")
