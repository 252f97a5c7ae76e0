"""The check of plans calls each list in every way, and notices one that reads its whole table."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import UNSET, Meta, UnsetType

from starpost import Cursor, Identifier, NotFoundError, OffsetMeta, Page, PageNumber, PageSize, SearchText
from starpost_dev.checks.list_calls import TEXTS, ListOf
from starpost_dev.checks.plans import READ_AT_MOST, Plans, faults_of, judge, overreads
from tests.dev.applications import application, run, write_tree

MIGRATION = "migrations/versions/0001_add_authors_and_books.py"
REASONS = """
[tool.starpost.reads-all]
"GET /authors" = "a few authors"
GET_BOOKS = "a few books"
GET_NOTHING = "there is no such list"
"""


@pytest.mark.skipif(not Path(MIGRATION).is_file(), reason="the example is removed already")
def test_a_list_that_reads_its_table_is_named_unless_it_has_a_reason(tmp_path: Path) -> None:
    tree = dict(application())
    lines = tree[MIGRATION].decode().splitlines(keepends=True)
    tree[MIGRATION] = "".join(line for line in lines if "search_indexes(" not in line).encode()
    tree["pyproject.toml"] += REASONS.encode()
    done = run(write_tree(tree, tmp_path), "starpost_dev.checks.plans")
    assert done.returncode == 1, done.stderr
    faults = [line for line in done.stdout.splitlines() if line.startswith(("GET", "[tool"))]
    for call in ('{"filters":{"name":"not there"}}', '{"filters":{"name":"qq"},"cursor":""}'):
        assert any(line.startswith(f"GET_AUTHORS {call}: ") for line in faults), done.stdout
    assert all("Scan reads 100,000 rows of author" in line for line in faults if line.startswith("GET_AUTHORS"))
    assert {line for line in faults if not line.startswith("GET_AUTHORS")} == {
        "[tool.starpost.reads-all] GET_BOOKS: it reads no whole table",
        "[tool.starpost.reads-all] GET_NOTHING: it reads no whole table",
    }
    assert "4 lists: GET_AUTHORS, GET_BOOKS, GET /authors, GET /authors/{author_id}/books" in done.stdout


class Filters(msgspec.Struct, frozen=True):
    id: Identifier | Annotated[list[Identifier], Meta(max_length=3)] | UnsetType = UNSET
    name: SearchText | UnsetType | None = UNSET
    is_open: bool | UnsetType = UNSET


class Query(msgspec.Struct, frozen=True):
    shelf_id: Identifier
    page: PageNumber | UnsetType = UNSET
    per_page: PageSize | UnsetType = UNSET
    cursor: Cursor | UnsetType = UNSET
    filters: Filters = Filters()


def test_each_position_and_each_filter_is_called() -> None:
    async def ask(_: Any) -> Any: ...

    calls = list(ListOf("GET_BOOKS", Query, ask).calls())
    for call in calls:
        msgspec.convert(call, Query)
        assert call["shelf_id"] == 1
    assert calls[:3] == [{"shelf_id": 1}, {"shelf_id": 1, "cursor": ""}, {"shelf_id": 1, "page": 101, "per_page": 100}]
    filtered = [call["filters"] for call in calls[3:]]
    assert filtered[::2] == filtered[1::2] == [{"id": 1}, {"id": [1]}, *({"name": t} for t in TEXTS), {"is_open": True}]
    assert [call.get("cursor") for call in calls[3:]] == [None, ""] * (len(filtered) // 2)


def test_what_a_plan_reads_is_what_it_returns_and_what_it_throws_away() -> None:
    def scan(**more: Any) -> dict[str, Any]:
        return {"Node Type": "Scan", "Relation Name": "book", "Actual Rows": 1.0, "Actual Loops": 1, **more}

    few = scan(**{"Actual Rows": READ_AT_MOST})
    filtered = scan(**{"Node Type": "Index Scan", "Rows Removed by Filter": READ_AT_MOST})
    repeated = scan(**{"Actual Loops": READ_AT_MOST + 1})
    plan = {
        "Node Type": "Append",
        "Actual Rows": 10**6,
        "Plans": [few, {"Node Type": "Sort", "Plans": [filtered]}, repeated],
    }
    assert list(overreads(plan)) == ["Index Scan reads 20,001 rows of book", "Scan reads 20,001 rows of book"]


class Unused(Plans):
    """Plans of a database that nobody asked."""

    def __init__(self) -> None:
        self._told = []


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (NotFoundError("none"), "GET_BOOKS: no call was answered with a page"),
        (KeyError("shelf"), """GET_BOOKS {"shelf_id":1} cannot be called: KeyError('shelf')"""),
        (None, "GET_BOOKS: PostgreSQL explained nothing"),
    ],
)
async def test_a_list_that_is_not_explained_is_a_fault(error: Exception | None, fault: str) -> None:
    async def ask(_: Any) -> Page[Any]:
        if error is not None:
            raise error
        return Page([], OffsetMeta.of(1, 20, 0))

    assert fault in await faults_of(ListOf("GET_BOOKS", Query, ask), Unused())


def test_a_reason_is_for_a_list_that_needs_it() -> None:
    assert judge({"A": ["a: reads"], "B": [], "C": ["c: reads"]}, {"C": "few"}) == ["a: reads"]
    assert judge({"A": []}, {"A": "few"}) == ["[tool.starpost.reads-all] A: it reads no whole table"]
