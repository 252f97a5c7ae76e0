from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domains.authors.schemas import AuthorKey, AuthorName, AuthorQuery, BookCreate, BookQuery


@pytest.mark.parametrize(
    "name", ["x", "x" * 100, "Ürsüla K. Le Guin", "محمود درويش", "村上 春樹", "👩‍🚀", " ", "'; --"]
)
def test_names(name: str) -> None:
    assert msgspec.convert({"name": name}, AuthorName).name == name


@pytest.mark.parametrize(
    "name",
    ["", "x" * 101, "a\0", "a\n", "\na", "a\tb", "a\rb", "\x1b[2J", "a\x7f", "a\x85", "a\u2028", "a\u2029b", 5, None],
)
def test_names_that_are_refused(name: Any) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"\$\.name"):
        msgspec.convert({"name": name}, AuthorName)


@given(st.text(min_size=1, max_size=100))
def test_a_name_is_one_line_without_control_characters(name: str) -> None:
    is_clean = not any(ord(each) < 32 or 0x7F <= ord(each) < 0xA0 or each in "\u2028\u2029" for each in name)
    try:
        msgspec.convert({"name": name}, AuthorName)
    except msgspec.ValidationError:
        assert not is_clean
    else:
        assert is_clean


@pytest.mark.parametrize("key", [0, -1, 2**63, 10**30, "1", 1.5, None, True])
def test_keys_that_are_refused(key: Any) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"\$\.id"):
        msgspec.convert({"id": key}, AuthorKey)


@pytest.mark.parametrize(
    "query",
    [
        {"page": 0},
        {"page": 2**31},
        {"per_page": 0},
        {"per_page": 101},
        {"per_page": None},
        {"cursor": "x" * 4097},
        {"filters": {"id": 0}},
        {"filters": {"id": [1, 2**63]}},
        {"filters": {"id": [1] * 101}},
        {"filters": {"name": "a\0"}},
        {"filters": {"name": ["a"]}},
    ],
)
def test_queries_that_are_refused(query: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(query, AuthorQuery)


def test_queries() -> None:
    assert msgspec.convert({}, AuthorQuery) == AuthorQuery()
    assert msgspec.convert({"filters": {"id": 3}}, AuthorQuery).filters.id == 3
    assert msgspec.convert({"filters": {"id": [3, 4]}}, AuthorQuery).filters.id == [3, 4]
    assert msgspec.convert({"author_id": 1}, BookQuery) == BookQuery(1)


@pytest.mark.parametrize("title", ["", "x" * 201, "a\nb"])
def test_titles_that_are_refused(title: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"author_id": 1, "title": title}, BookCreate)
