import random
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from msgspec import UNSET, UnsetType
from sqlalchemy import delete, insert
from sqlalchemy.orm import Mapped

from starpost.db import BaseModel, Cursor, Database, Statements
from starpost.db.pagination import Ordering, offset_statement
from starpost.errors import InvalidDataError
from starpost.protocol.pages import CursorMeta, OffsetMeta, Page
from starpost.settings import Settings
from tests.framework.db.conftest import Wire, add_shelves
from tests.framework.db.shelf import Item, Shelf, ShelfView


class Fresh(BaseModel):
    __tablename__ = "test_Fresh 'un'"

    label: Mapped[str]


class Reading(BaseModel):
    __tablename__ = "test_reading"

    value: Mapped[float]


class ReadingView(msgspec.Struct, frozen=True):
    value: float


class ItemLine(msgspec.Struct, frozen=True):
    title: str
    weight: int


@pytest.fixture
async def shelves(database: Database) -> None:
    await add_shelves(database, *(f"shelf {number}" for number in range(1, 46)))


async def page(
    statements: Statements, number: int, per_page: int | UnsetType = UNSET, **options: Any
) -> Page[ShelfView]:
    return await statements.get_paginated_results(Shelf, view=ShelfView, page=number, per_page=per_page, **options)


async def test_pages_and_their_meta(shelves: None, statements: Statements) -> None:
    first = await page(statements, 1)
    assert [shelf.id for shelf in first.items] == list(range(1, 21))
    assert first.meta == OffsetMeta(page=1, per_page=20, total=45, pages=3)
    last = await page(statements, 5, 10)
    assert [shelf.id for shelf in last.items] == list(range(41, 46))
    assert last.meta == OffsetMeta(page=5, per_page=10, total=45, pages=5)


@pytest.mark.parametrize("number", [4, 501])
async def test_a_page_after_the_last_knows_the_total(shelves: None, statements: Statements, number: int) -> None:
    assert await page(statements, number) == Page([], OffsetMeta(number, 20, 45, 3))
    assert (await page(statements, number, filters={"label": "4"})).meta == OffsetMeta(number, 20, 10, 1)
    few = await page(statements, number, apply_filters=lambda rows: rows.where(Shelf.id <= 7))
    assert few == Page([], OffsetMeta(number, 20, 7, 1))


async def test_an_empty_table(statements: Statements) -> None:
    assert await page(statements, 1) == Page([], OffsetMeta(1, 20, 0, 0))
    assert await page(statements, 3) == Page([], OffsetMeta(3, 20, 0, 0))


@pytest.mark.parametrize(
    ("number", "per_page", "paths"),
    [
        (0, 20, ["$.page"]),
        (-1, 20, ["$.page"]),
        (2**31, 20, ["$.page"]),
        (10**30, 20, ["$.page"]),
        (1, 0, ["$.per_page"]),
        (1, 101, ["$.per_page"]),
        (0, -5, ["$.page", "$.per_page"]),
    ],
)
async def test_bounds(statements: Statements, number: int, per_page: int, paths: list[str]) -> None:
    with pytest.raises(InvalidDataError) as raised:
        await page(statements, number, per_page)
    assert [error.path for error in raised.value.errors] == paths


async def test_more_rows_than_are_counted_are_estimated(
    database: Database, shelves: None, statements: Statements
) -> None:
    async with database.connection() as connection:
        await connection.execute("ANALYZE test_shelf")
    for limit, is_exact in ((45, True), (44, False), (0, False), (None, True)):
        assert (await page(statements, 1, count_limit=limit)).meta == OffsetMeta(1, 20, 45, 3, is_exact)
    # The planner knows the distribution of what it has analyzed, and of nothing else.
    for filters in ({"id": list(range(1, 41))}, {"label": "shelf"}):
        meta = (await page(statements, 1, count_limit=10, filters=filters)).meta
        assert isinstance(meta, OffsetMeta)
        assert not meta.total_is_exact
        assert 20 <= meta.total <= 45
        assert (await page(statements, 1, filters=filters)).meta == OffsetMeta.of(1, 20, 40 if "id" in filters else 45)
    few = await page(statements, 1, count_limit=10, apply_filters=lambda rows: rows.where(Shelf.id.in_(range(1, 41))))
    assert isinstance(few.meta, OffsetMeta)
    assert not few.meta.total_is_exact
    assert 20 <= few.meta.total <= 45


async def test_an_estimate_never_contradicts_the_page(
    database: Database, shelves: None, statements: Statements
) -> None:
    async with database.connection() as connection:
        await connection.execute("DELETE FROM test_shelf WHERE id > 30")
        await connection.execute("VACUUM ANALYZE test_shelf")
        await connection.execute("INSERT INTO test_shelf (label) SELECT 'new ' || n FROM generate_series(1, 30) n")
    second = await page(statements, 2, 25, count_limit=10)
    assert second.meta == OffsetMeta(2, 25, 50, 2, total_is_exact=False), "there are 50 rows up to the end of the page"
    last = await page(statements, 3, 25, count_limit=10)
    assert last.meta == OffsetMeta.of(3, 25, 60), "the last page shows where the list ends"
    after = await page(statements, 4, 25, count_limit=10)
    assert isinstance(after.meta, OffsetMeta)
    assert not after.meta.total_is_exact
    assert 10 < after.meta.total <= 75, "no row is on this page, and more than ten are before it"


async def test_a_table_that_was_never_analyzed_is_estimated(database: Database, statements: Statements) -> None:
    async with database.connection() as connection:
        await connection.execute("CREATE TABLE \"test_Fresh 'un'\" (LIKE test_shelf INCLUDING ALL)")
        await connection.execute("INSERT INTO \"test_Fresh 'un'\" (label) SELECT n::text FROM generate_series(1, 99) n")
    try:
        meta = (await statements.get_paginated_results(Fresh, view=ShelfView, count_limit=10)).meta
    finally:
        async with database.connection() as connection:
            await connection.execute("DROP TABLE \"test_Fresh 'un'\"")
    assert isinstance(meta, OffsetMeta)
    assert not meta.total_is_exact
    assert meta.total >= 20


async def test_a_page_too_far_behind_is_refused_and_the_cursor_named(shelves: None, statements: Statements) -> None:
    assert (await page(statements, 3, max_offset=40)).meta == OffsetMeta.of(3, 20, 45)
    with pytest.raises(InvalidDataError) as raised:
        await page(statements, 4, max_offset=40)
    (error,) = raised.value.errors
    assert error.path == "$.page"
    assert error.msg == "Expected `int` from 1 to 3 with 20 items per page; `cursor` reads on without a limit"
    with pytest.raises(InvalidDataError, match="1 field is invalid"):
        await page(statements, 502)
    assert (await page(statements, 2**31 - 1, max_offset=None)).meta == OffsetMeta.of(2**31 - 1, 20, 45)


async def test_a_page_and_its_total_are_one_statement(settings: Settings, database: Database) -> None:
    """Beyond the count, too; only the planner's estimate of a condition takes another."""
    own = await Database(settings).open()
    try:
        await own.engine.dispose()
        wire = Wire(own)
        async with own.connection() as connection:
            await connection.execute("INSERT INTO test_shelf (label) SELECT n::text FROM generate_series(1, 50) n")
            await connection.execute("ANALYZE test_shelf")
        statements = Statements(own)
        for options, sent in (({}, 1), ({"count_limit": 10}, 1), ({"count_limit": 10, "filters": {"label": "1"}}, 2)):
            wire.queries.clear()
            await page(statements, 1, 5, **options)
            assert len([query for query in wire.queries if "test_shelf" in query]) == sent, options
    finally:
        await own.close()


@pytest.mark.parametrize("order_by", [[], ["-label"], ["-created_at", "label"]])
@pytest.mark.parametrize("count_limit", [0, 9, 10, 11])
async def test_a_search_shows_the_same_whether_all_rows_are_counted_or_not(
    shelves: None, statements: Statements, order_by: list[str], count_limit: int
) -> None:
    """There are ten shelves with a 4 in their number; up to the limit, the page is cut from what was counted."""
    for number in (1, 2, 3, 4):
        options: Any = {"filters": {"label": "4", "id": list(range(46))}, "order_by": order_by}
        expected = await page(statements, number, 5, count_limit=None, **options)
        found = await page(statements, number, 5, count_limit=count_limit, **options)
        assert found.items == expected.items
        assert expected.meta == OffsetMeta.of(number, 5, 10)
        if count_limit >= 10:
            assert found.meta == expected.meta


async def test_apply_filters_counts_what_it_shows(database: Database, shelves: None, statements: Statements) -> None:
    async with database.engine.begin() as connection:
        items = [{"title": f"{shelf}/{copy}", "shelf_id": shelf} for shelf in (1, 2, 3) for copy in range(4)]
        await connection.execute(insert(Item), items)
    with_items = await page(
        statements,
        1,
        2,
        apply_filters=lambda rows: rows.join(Item).where(Item.title.like("%/1")),
        filters={"label": "s"},
    )
    assert [shelf.id for shelf in with_items.items] == [1, 2]
    assert with_items.meta == OffsetMeta(1, 2, 3, 2)
    for limit in (2, 3):
        few = await page(statements, 1, apply_filters=_at_most(limit))
        assert len(few.items) == limit, "a value in the condition must not be remembered"


def _at_most(limit: int) -> Callable[[Any], Any]:
    return lambda rows: rows.where(Shelf.id <= limit)


async def test_the_order_is_stable_and_as_asked_for(database: Database, statements: Statements) -> None:
    async with database.engine.begin() as connection:
        await connection.execute(insert(Item), [{"title": f"{n}", "weight": n % 3} for n in range(30)])
    seen = []
    for number in range(1, 7):
        lines = await statements.get_paginated_results(
            Item, view=ItemLine, page=number, per_page=5, order_by=["-weight"]
        )
        seen += lines.items
    assert [line.weight for line in seen] == [2] * 10 + [1] * 10 + [0] * 10
    assert len({line.title for line in seen}) == 30
    with pytest.raises(ValueError, match="no column colours"):
        await statements.get_paginated_results(Item, view=ItemLine, order_by=["colours"])


def test_statements_are_made_once_for_each_shape() -> None:
    ordering = Ordering.of(Shelf, ())
    assert offset_statement(Shelf, ShelfView, ordering, ()) is offset_statement(
        Shelf, ShelfView, Ordering.of(Shelf, ()), ()
    )


async def walk(statements: Statements, per_page: int, **options: Any) -> list[Any]:
    seen: list[Any] = []
    cursor = ""
    while True:
        found = await statements.get_cursor_results(Item, view=ItemLine, cursor=cursor, per_page=per_page, **options)
        seen += found.items
        assert isinstance(found.meta, CursorMeta)
        assert found.meta.has_more == (found.meta.next is not None)
        assert len(found.items) == per_page or not found.meta.has_more
        if found.meta.next is None:
            return seen
        cursor = found.meta.next


@given(
    weights=st.lists(st.integers(0, 3), max_size=12),
    per_page=st.integers(1, 5),
    order_by=st.sampled_from([(), ("weight",), ("-weight",), ("-weight", "-title"), ("title", "weight"), ("-id",)]),
)
@examples(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
async def test_walking_by_cursor_sees_every_row_once_in_order(
    database: Database, statements: Statements, weights: list[int], per_page: int, order_by: tuple[str, ...]
) -> None:
    async with database.engine.begin() as connection:
        await connection.execute(delete(Item))
        if weights:
            rows = [{"title": f"{n:02}", "weight": weight} for n, weight in enumerate(weights)]
            await connection.execute(insert(Item), rows)
    everything = await statements.get_paginated_results(Item, view=ItemLine, per_page=100, order_by=order_by)
    assert await walk(statements, per_page, order_by=order_by) == everything.items
    few = await walk(statements, per_page, order_by=order_by, filters={"weight": [0, 2]})
    assert few == [line for line in everything.items if line.weight in (0, 2)]
    custom = await walk(
        statements, per_page, order_by=order_by, apply_filters=lambda rows: rows.where(Item.weight == 1)
    )
    assert custom == [line for line in everything.items if line.weight == 1]


@pytest.mark.parametrize("order", ["value", "-value"])
async def test_a_walk_passes_numbers_that_json_does_not_have(
    database: Database, statements: Statements, order: str
) -> None:
    values = ["-inf", "-1.5", "0.0", "1e+300", "inf", "inf", "nan", "nan"]  # as PostgreSQL orders them
    async with database.engine.begin() as connection:
        await connection.run_sync(
            BaseModel.metadata.create_all,
            tables=[Reading.__table__],  # type: ignore[list-item]
        )
        await connection.execute(insert(Reading), [{"value": float(value)} for value in values[::-1]])
    seen: list[str] = []
    cursor: str | None = ""
    try:
        while cursor is not None:
            found = await statements.get_cursor_results(
                Reading, view=ReadingView, cursor=cursor, per_page=1, order_by=[order]
            )
            seen += [str(reading.value) for reading in found.items]
            assert isinstance(found.meta, CursorMeta)
            cursor = found.meta.next
    finally:
        async with database.connection() as connection:
            await connection.execute("DROP TABLE test_reading")
    assert seen == (values if order == "value" else values[::-1])


async def test_a_cursor_of_another_table_is_refused(shelves: None, statements: Statements) -> None:
    first = await statements.get_cursor_results(Shelf, view=ShelfView, per_page=1)
    assert isinstance(first.meta, CursorMeta)
    assert first.meta.next is not None
    with pytest.raises(InvalidDataError) as raised:
        await statements.get_cursor_results(Item, view=ItemLine, cursor=first.meta.next)
    assert [error.path for error in raised.value.errors] == ["$.cursor"]


async def test_a_walk_passes_the_longest_text_of_an_index(database: Database, statements: Statements) -> None:
    """An index takes 2,704 bytes; what a payload takes for a cursor has room for it."""
    titles = [f"{number}{'😀' * 660}" for number in range(3)]
    async with database.engine.begin() as connection:
        await connection.execute(insert(Item), [{"title": title} for title in titles])
    seen, cursor = [], ""
    for _ in titles:
        found = await statements.get_cursor_results(
            Item, view=ItemLine, cursor=msgspec.convert(cursor, Cursor), per_page=1, order_by=["title"]
        )
        seen += [line.title for line in found.items]
        assert isinstance(found.meta, CursorMeta)
        cursor = found.meta.next or ""
    assert seen == titles


async def test_rows_that_come_and_go_do_not_disturb_a_walk(database: Database, statements: Statements) -> None:
    async with database.engine.begin() as connection:
        await connection.execute(insert(Item), [{"title": f"{n:03}", "weight": 1} for n in range(0, 100, 2)])
    choose = random.Random(5)  # noqa: S311 - not a secret
    seen: list[str] = []
    deleted: set[str] = set()
    cursor = ""
    while True:
        found = await statements.get_cursor_results(Item, view=ItemLine, cursor=cursor, per_page=7, order_by=["title"])
        seen += [line.title for line in found.items]
        assert isinstance(found.meta, CursorMeta)
        if found.meta.next is None:
            break
        cursor = found.meta.next
        async with database.engine.begin() as connection:
            # The very row at which the cursor stands, one still to come, and new ones before and after.
            gone = {seen[-1], f"{choose.randrange(0, 100, 2):03}"}
            deleted |= gone
            await connection.execute(delete(Item).where(Item.title.in_(gone)))
            await connection.execute(insert(Item), [{"title": f"000{len(deleted)}"}, {"title": f"{seen[-1]}x"}])
    assert seen == sorted(set(seen)), "each once, in order"
    assert {f"{n:03}" for n in range(0, 100, 2)} - deleted <= set(seen)


@pytest.mark.parametrize(
    ("order_by", "values"),
    [
        (["title"], ["a\0b", 1]),
        (["title"], ["a", 2**63]),
        (["created_at"], ["2020-01-01T00:00:00", 1]),
        (["created_at"], ["tomorrow", 1]),
        ([], [1.5]),
        ([], [True]),
    ],
)
async def test_a_forged_cursor_is_refused(statements: Statements, order_by: list[str], values: list[Any]) -> None:
    order = Ordering.of(Item, tuple(order_by)).of_table(Item)
    forged = urlsafe_b64encode(msgspec.json.encode([1, order, values])).decode()
    with pytest.raises(InvalidDataError):
        await statements.get_cursor_results(Item, view=ItemLine, cursor=forged.rstrip("="), order_by=order_by)


@pytest.mark.parametrize("order_by", [["ratio"], ["-weight", "title"]])
async def test_orders_that_allow_no_cursor(statements: Statements, order_by: list[str]) -> None:
    with pytest.raises(ValueError, match=r"may be NULL|all ascending"):
        await statements.get_cursor_results(Item, view=ItemLine, order_by=order_by)
