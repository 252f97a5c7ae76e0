"""Tables for the tests of this package: every kind of column, every kind of constraint."""

import datetime as dt
import enum
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from polyfactory.factories.msgspec_factory import MsgspecFactory
from sqlalchemy import CheckConstraint, ForeignKey, Numeric, String, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from starpost.db import BaseModel, refusal


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Shelf(BaseModel):
    __tablename__ = "test_shelf"
    __table_args__ = (UniqueConstraint("label", info=refusal("The label is taken", "$.name")),)

    label: Mapped[str] = mapped_column(String(100))
    items: Mapped[list["Item"]] = relationship(order_by="Item.id", back_populates="shelf")


class Item(BaseModel):
    __tablename__ = "test_item"
    __table_args__ = (
        # Checked when the transaction commits.
        UniqueConstraint("code", deferrable=True, initially="DEFERRED"),
        UniqueConstraint("shelf_id", "title"),
        CheckConstraint("weight >= 0", name="weight", info=refusal("Nothing weighs less than nothing", "$.weight")),
    )

    shelf_id: Mapped[int | None] = mapped_column(ForeignKey("test_shelf.id", info=refusal("No such shelf")))
    title: Mapped[str]
    code: Mapped[UUID | None]
    weight: Mapped[int] = mapped_column(server_default="0")
    price: Mapped[Decimal | None] = mapped_column(Numeric(10, 2))
    ratio: Mapped[float | None]
    colour: Mapped[Colour | None]
    details: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    due: Mapped[dt.datetime | None]
    shelf: Mapped[Shelf | None] = relationship(back_populates="items")


class ShelfView(msgspec.Struct, frozen=True):
    id: int
    label: str


class ItemView(msgspec.Struct, frozen=True):
    id: int
    title: str
    code: UUID | None
    weight: int
    price: Decimal | None
    ratio: float | None
    colour: Colour | None
    details: dict[str, Any] | None
    due: dt.datetime | None


class NewShelf(msgspec.Struct):
    label: str


class NewShelfFactory(MsgspecFactory[NewShelf]):
    __random_seed__ = 1
