"""Base class of all models."""

import datetime as dt

from advanced_alchemy.base import AdvancedDeclarativeBase, CommonTableAttributes
from sqlalchemy import BigInteger, DateTime, Identity, func
from sqlalchemy.ext.asyncio import AsyncAttrs
from sqlalchemy.orm import Mapped, mapped_column


class BaseModel(CommonTableAttributes, AdvancedDeclarativeBase, AsyncAttrs):
    """Base of a table with ``id`` (bigint, identity) and ``created_at`` (timestamptz, set by PostgreSQL).

    The table is named after the class, in snake case. Constraints and indexes without a name get one by
    advanced-alchemy's convention (``uq_author_name``, ``fk_book_author_id_author``); ``translate`` finds a violated
    constraint by its name. ``AsyncAttrs`` gives ``await author.awaitable_attrs.books``; prefer to load eagerly.
    """

    __abstract__ = True
    # RETURNING fetches values that PostgreSQL makes, so that reading them after a flush never waits for a query.
    __mapper_args__ = {"eager_defaults": True}  # noqa: RUF012 - the form that SQLAlchemy reads

    # Declared here, because advanced-alchemy's mixin would write its variant for SQLite into every migration.
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True, sort_order=-100)
    created_at: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True), server_default=func.now(), sort_order=100)


def refusal(msg: str, path: str | None = None) -> dict[str, str]:
    """Return the ``info`` of a constraint: the message to a client that violates it.

        UniqueConstraint("name", info=refusal("The name is taken"))

    Args:
        msg: One sentence.
        path: JSON path of the input's field; by default one for each column of the constraint, ``$.name``.
    """
    return {"msg": msg} if path is None else {"msg": msg, "path": path}
