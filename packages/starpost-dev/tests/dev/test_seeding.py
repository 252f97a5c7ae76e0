"""Tables of every kind of column are filled, on a real PostgreSQL."""

import datetime as dt
import enum
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import INET, JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from starpost.db import Database
from starpost.settings import Settings
from starpost_dev.checks.seeding import PARENTS, WORD, fill
from starpost_dev.services.ephemeral import ephemeral_postgres

ROWS = 3_000


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


metadata = sa.MetaData()
shelf = sa.Table(
    "Shelf of all",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("above_id", sa.ForeignKey("Shelf of all.id")),
    sa.Column("label", sa.String(100), unique=True, nullable=False),
    sa.Column("mark", sa.String(1), unique=True, nullable=False),
)
item = sa.Table(
    "item",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("shelf_id", sa.ForeignKey(shelf.c.id), nullable=False, index=True),
    sa.Column("weight", sa.Integer, sa.CheckConstraint("weight < 0"), nullable=False),
    sa.Column("code", sa.Uuid, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("price", sa.Numeric(4, 2), nullable=False),
    sa.Column("ratio", sa.Float, nullable=False),
    sa.Column("is_open", sa.Boolean, nullable=False),
    sa.Column("colour", sa.Enum(Colour), nullable=False),
    sa.Column("details", JSONB, nullable=False),
    sa.Column("due", sa.DateTime(timezone=True), nullable=False),
    sa.Column("day", sa.Date, nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.Column("tags", sa.ARRAY(sa.String), nullable=False),
    sa.Column("address", INET, nullable=False),
    sa.Column("made", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
    sa.UniqueConstraint("code", deferrable=True, initially="DEFERRED"),
)
pair = sa.Table(
    "pair",
    metadata,
    sa.Column("shelf_id", sa.ForeignKey(shelf.c.id), primary_key=True),
    sa.Column("item_id", sa.ForeignKey(item.c.id), primary_key=True),
)


@pytest.fixture(scope="module")
async def filled() -> AsyncIterator[AsyncConnection]:
    with ephemeral_postgres() as server:
        database = await Database(Settings.from_strings(server.endpoint.environment())).open()
        async with database.autocommit.connect() as connection:
            await connection.run_sync(metadata.create_all)
            await fill(connection, metadata, ROWS)
            yield connection
        await database.close()


async def one(connection: AsyncConnection, clause: Any) -> Any:
    return (await connection.execute(clause)).one()


async def test_every_table_has_its_rows(filled: AsyncConnection) -> None:
    for table in (item, pair):
        assert (await one(filled, sa.select(sa.func.count()).select_from(table)))[0] == ROWS
    few = (await one(filled, sa.select(sa.func.count()).select_from(shelf)))[0]
    assert few == 16, "the marks have to differ, and a digest has sixteen digits"


async def test_a_row_has_values_of_each_type(filled: AsyncConnection) -> None:
    row = await one(filled, sa.select(item).where(item.c.weight == 7))
    assert row.note.split()[1:] == [WORD, "7"]
    assert (row.price, row.ratio, row.is_open, row.colour) == (Decimal(7), 7.5, False, Colour.BLUE)
    assert (row.details, row.tags, row.address) == ({}, [], None)
    assert (row.due, row.day) == (dt.datetime(2020, 1, 1, 0, 7, tzinfo=dt.UTC), dt.date(2020, 1, 8))
    assert isinstance(row.id, UUID)
    assert len(row.content) == 16


async def test_a_reference_has_a_thousand_values(filled: AsyncConnection) -> None:
    rows = await filled.execute(sa.select(item.c.shelf_id, sa.func.count()).group_by(item.c.shelf_id))
    assert {tuple(row) for row in rows} == {(1 + number, ROWS // PARENTS) for number in range(PARENTS)}


async def test_indexes_are_made_again(filled: AsyncConnection) -> None:
    rows = await filled.execute(sa.text("SELECT indexname FROM pg_indexes WHERE tablename = 'item'"))
    assert {row[0] for row in rows} == {"item_pkey", "item_code_key", "ix_item_shelf_id"}
