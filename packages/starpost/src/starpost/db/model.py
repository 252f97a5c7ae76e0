"""The base of every table."""

import datetime as dt

from advanced_alchemy.base import AdvancedDeclarativeBase, CommonTableAttributes
from sqlalchemy import BigInteger, DateTime, Identity, func
from sqlalchemy.ext.asyncio import AsyncAttrs
from sqlalchemy.orm import Mapped, mapped_column


class BaseModel(CommonTableAttributes, AdvancedDeclarativeBase, AsyncAttrs):
    """A table with ``id`` (bigint, identity) and ``created_at`` (timestamptz, set by PostgreSQL).

    The table's name is the class's in snake case. Constraints and indexes that are not named get names by
    advanced-alchemy's convention (``uq_author_name``, ``fk_book_author_id_author``), which the answers to their
    violation depend on. ``AsyncAttrs`` gives ``await author.awaitable_attrs.books``; prefer to load eagerly.
    """

    __abstract__ = True
    # RETURNING brings what PostgreSQL made, so that reading it after a flush never waits for a query.
    __mapper_args__ = {"eager_defaults": True}  # noqa: RUF012 - the form that SQLAlchemy reads

    # The mixin of advanced-alchemy writes its variant for SQLite into every migration.
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True, sort_order=-100)
    created_at: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True), server_default=func.now(), sort_order=100)


def refusal(msg: str, path: str | None = None) -> dict[str, str]:
    """What the client is told when a constraint is violated: the ``info`` of a constraint.

        UniqueConstraint("name", info=refusal("The name is taken"))

    Args:
        msg: One sentence.
        path: The JSON path of the input's field; by default each column of the constraint, ``$.name``.
    """
    return {"msg": msg} if path is None else {"msg": msg, "path": path}
