import datetime as dt
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import UNSET
from sqlalchemy import select

from starpost.db import Database, Statements, translate
from starpost.db.filters import MAX_ALTERNATIVES, parse
from starpost.errors import InvalidDataError
from tests.framework.db.conftest import add_shelves
from tests.framework.db.shelf import Item, ItemView, Shelf, ShelfView

LABELS = ["100%", "100", "a_b", "aXb", "back\\slash", "backslash", "ÄÖÜ", "äöü", "Tolkien", "'; DROP TABLE x; --"]


@pytest.fixture
async def shelves(database: Database) -> list[str]:
    await add_shelves(database, *LABELS)
    return LABELS


async def found(statements: Statements, **filters: Any) -> list[str]:
    page = await statements.get_paginated_results(Shelf, view=ShelfView, per_page=100, filters=filters)
    return [shelf.label for shelf in page.items]


@pytest.mark.parametrize(
    ("part", "labels"),
    [
        ("100%", ["100%"]),
        ("%", ["100%"]),
        ("_", ["a_b"]),
        ("\\", ["back\\slash"]),
        ("äÖ", ["ÄÖÜ", "äöü"]),
        ("TOLK", ["Tolkien"]),
        ("'; drop", ["'; DROP TABLE x; --"]),
        ("", LABELS),
        ("nothing", []),
    ],
)
async def test_text_is_contained_in_either_case(
    shelves: list[str], statements: Statements, part: str, labels: list[str]
) -> None:
    assert await found(statements, label=part) == labels


@given(part=st.text(alphabet="aAbB%_\\.*?'\"[]^$ 1", max_size=4), label=st.text(alphabet="aAbB%_\\.*?'\"[]^$ 1"))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
async def test_wildcards_mean_themselves(database: Database, statements: Statements, part: str, label: str) -> None:
    async with database.connection() as connection:
        await connection.execute("TRUNCATE test_shelf, test_item RESTART IDENTITY")
    await add_shelves(database, label[:100])
    assert bool(await found(statements, label=part)) == (part.lower() in label[:100].lower())


async def test_other_values_are_equal_and_lists_are_in(shelves: list[str], statements: Statements) -> None:
    assert await found(statements, id=2) == ["100"]
    assert await found(statements, id=[3, 1, 999]) == ["100%", "a_b"]
    assert await found(statements, id=[]) == []
    assert await found(statements, label=["100", "äöü"]) == ["100", "äöü"]
    assert await found(statements, id=[1, 2], label="%") == ["100%"]
    assert await found(statements, id=UNSET, label="tolk") == ["Tolkien"]
    assert await found(statements, label=None) == []
    assert await found(statements, created_at=dt.datetime(2000, 1, 1, tzinfo=dt.UTC)) == []


@pytest.mark.parametrize(
    ("name", "value", "msg"),
    [
        ("nothing", 1, "Unknown filter"),
        ("items", 1, "Unknown filter"),
        ("metadata", 1, "Unknown filter"),
        ("__class__", 1, "Unknown filter"),
        ("id", "1", "Expected `int`, got `str`"),
        ("id", True, "Expected `int`, got `bool`"),
        ("id", 1.5, "Expected `int`, got `float`"),
        ("id", 2**63, "Expected a 64-bit integer"),
        ("id", [1, -(2**63) - 1], "Expected a 64-bit integer"),
        ("id", [[1]], "Expected `int`, got `list`"),
        ("id", [1] * (MAX_ALTERNATIVES + 1), "Expected at most 1000 values"),
        ("label", 1, "Expected `str`, got `int`"),
        ("label", "a\0b", "Expected text without NUL"),
        ("label", ["\0"], "Expected text without NUL"),
        ("label", {"a": 1}, "Expected `str`, got `dict`"),
        ("created_at", dt.datetime(2000, 1, 1), "Expected a time with its offset"),  # noqa: DTZ001
    ],
)
async def test_a_wrong_filter_is_named(statements: Statements, name: str, value: Any, msg: str) -> None:
    with pytest.raises(InvalidDataError) as raised:
        await found(statements, **{name: value})
    assert [(error.path, error.msg) for error in raised.value.errors] == [(f"$.filters.{name}", msg)]


def test_all_wrong_filters_are_named() -> None:
    with pytest.raises(InvalidDataError, match="2 fields are invalid") as raised:
        parse(Item, {"title": 5, "nothing": 1, "weight": 3})
    assert [error.path for error in raised.value.errors] == ["$.filters.nothing", "$.filters.title"]


async def test_what_postgresql_cannot_take_is_refused_by_it(statements: Statements) -> None:
    """``weight`` is an integer of 32 bits."""
    with pytest.raises(Exception, match="out of int32 range") as raised:
        await statements.get_paginated_results(Item, view=ItemView, filters={"weight": 2**40})
    assert isinstance(translate(raised.value), InvalidDataError)


@pytest.mark.parametrize("model", [Item.due, Item.created_at])
@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
async def test_a_time_before_or_after_all_times_in_utc_is_refused(
    statements: Statements, database: Database, model: Any, time: str
) -> None:
    """``due`` and ``created_at`` have types of SQLAlchemy that differ in who converts to UTC."""
    value = dt.datetime.fromisoformat(time)
    with pytest.raises(Exception) as by_filter:  # noqa: PT011 - judged by ``translate``
        await statements.get_paginated_results(Item, view=ItemView, filters={model.key: value})
    with pytest.raises(Exception) as by_session:  # noqa: PT011 - judged by ``translate``
        async with database.new_session() as session:
            await session.execute(select(Item.id).where(model == value))
    for raised in (by_filter, by_session):
        refused = translate(raised.value)
        assert isinstance(refused, InvalidDataError)
        assert refused.msg == "The database cannot store one of the values"
