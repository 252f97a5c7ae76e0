import datetime as dt
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from sqlalchemy import ARRAY, BigInteger, any_, bindparam, delete, func, insert, select, update
from sqlalchemy.orm import Mapped, mapped_column

from starpost.db import BaseModel, Database, Statement, Statements, columns
from starpost.errors import NotFoundError
from tests.framework.db.conftest import add_shelves
from tests.framework.db.shelf import Colour, Item, ItemView, Shelf, ShelfView

ADD = Statement(insert(Shelf).values(label=bindparam("label")).returning(*columns(Shelf, ShelfView)), ShelfView)
BY_ID = Statement(
    select(*columns(Shelf, ShelfView)).where(Shelf.id == bindparam("shelf_id")), ShelfView, missing="No shelf"
)


async def test_writes_and_reads(statements: Statements) -> None:
    added = await statements.one(ADD, label="a")
    assert added == ShelfView(1, "a")
    assert await statements.one(BY_ID, shelf_id=1) == added
    assert await statements.all(BY_ID, shelf_id=1) == [added]


async def test_a_write_is_committed_when_it_returns(database: Database, statements: Statements) -> None:
    await statements.one(ADD, label="a")
    async with database.new_session() as session:
        assert await session.scalar(select(func.count(Shelf.id))) == 1


async def test_one_refuses_when_there_is_none(statements: Statements) -> None:
    assert await statements.one_or_none(BY_ID, shelf_id=5) is None
    with pytest.raises(NotFoundError, match="No shelf"):
        await statements.one(BY_ID, shelf_id=5)


async def test_every_kind_of_column_comes_through(statements: Statements) -> None:
    values: dict[str, Any] = {
        "title": "t",
        "code": UUID(int=5),
        "weight": 3,
        "price": Decimal("12.50"),
        "ratio": 0.25,
        "colour": Colour.BLUE,
        "details": {"deep": [1, {"ü": None}]},
        "due": dt.datetime(2030, 1, 2, 3, 4, 5, 678, dt.UTC),
    }
    add = Statement(
        insert(Item).values({name: bindparam(name) for name in values}).returning(*columns(Item, ItemView)), ItemView
    )
    added = await statements.one(add, **values)
    assert added == ItemView(id=1, **values)
    read = Statement(select(*columns(Item, ItemView)), ItemView)
    assert await statements.all(read) == [added]
    nothing = await statements.one(add, **dict.fromkeys(values) | {"title": "u", "weight": 0})
    assert nothing == ItemView(2, "u", None, 0, None, None, None, None, None)


async def test_constants_lists_tuples_and_scalars(database: Database, statements: Statements) -> None:
    await add_shelves(database, "a", "b", "c")
    some = Statement(
        select(Shelf.id, Shelf.label)
        .where(Shelf.id == any_(bindparam("ids", type_=ARRAY(BigInteger))), Shelf.label != "c")
        .order_by(Shelf.id),
        tuple,
    )
    assert await statements.all(some, ids=[2, 3, 1]) == [(1, "a"), (2, "b")]
    assert await statements.all(some, ids=[]) == []
    gone = Statement(delete(Shelf).where(Shelf.label == bindparam("label")).returning(Shelf.id), int)
    assert await statements.one(gone, label="b") == 2
    renamed = Statement(
        update(Shelf).where(Shelf.id == bindparam("key")).values(label=bindparam("new")).returning(Shelf.label), str
    )
    assert await statements.one(renamed, key=1, new="z") == "z"


@pytest.mark.parametrize("parameters", [{}, {"shelf_id": 1, "more": 2}, {"other": 1}])
async def test_parameters_are_exact(statements: Statements, parameters: dict[str, int]) -> None:
    with pytest.raises(TypeError, match="shelf_id"):
        await statements.one(BY_ID, **parameters)


def test_columns_and_view_must_agree() -> None:
    with pytest.raises(TypeError, match="ShelfView has"):
        Statement(select(Shelf.label, Shelf.id), ShelfView)
    with pytest.raises(TypeError, match="one column"):
        Statement(select(Shelf.label, Shelf.id), int)

    class Odd(msgspec.Struct):
        id: int
        nothing: int

    with pytest.raises(TypeError, match="no column nothing"):
        columns(Shelf, Odd)


async def test_lists_of_any_length_are_one_statement(statements: Statements) -> None:
    with pytest.raises(TypeError, match="any_"):
        await statements.all(Statement(select(Shelf.id).where(Shelf.id.in_([1, 2])), int))


async def test_defaults_made_in_python_are_refused(statements: Statements) -> None:
    class Dated(BaseModel):
        __tablename__ = "test_dated"
        day: Mapped[int] = mapped_column(default=lambda: 5)

    try:
        with pytest.raises(TypeError, match="day: a default made in Python"):
            await statements.one(Statement(insert(Dated).values(created_at=func.now()).returning(Dated.id), int))
    finally:
        BaseModel.metadata.remove(Dated.__table__)  # type: ignore[arg-type]
