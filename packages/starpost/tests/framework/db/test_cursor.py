import datetime as dt
from base64 import urlsafe_b64encode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from starpost.db import cursor
from starpost.errors import InvalidDataError

TYPES = [dt.datetime, str, int]
VALUES = st.tuples(st.datetimes(timezones=st.just(dt.UTC)), st.text(), st.integers(-(2**63), 2**63 - 1))


@given(VALUES)
def test_round_trip(values: tuple[dt.datetime, str, int]) -> None:
    encoded = cursor.encode("a,b,id", values)
    assert encoded.isascii()
    assert "=" not in encoded
    assert cursor.decode(encoded, "a,b,id", TYPES) == list(values)


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: urlsafe_b64encode(raw).decode()))
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidDataError) as raised:
        cursor.decode(text, "id", [int])
    assert [error.path for error in raised.value.errors] == ["$.cursor"]


@pytest.mark.parametrize(
    "content",
    [
        [2, "id", [1]],
        [1, "-id", [1]],
        [1, "id", []],
        [1, "id", [1, 2]],
        [1, "id", ["1"]],
        [1, "id", [1], "more"],
        [1, "id"],
        {"version": 1},
        [1, "id", [None]],
    ],
)
def test_another_lists_cursor_is_refused(content: object) -> None:
    forged = urlsafe_b64encode(msgspec.json.encode(content)).decode().rstrip("=")
    with pytest.raises(InvalidDataError):
        cursor.decode(forged, "id", [int])


def test_deep_nesting_is_refused() -> None:
    forged = urlsafe_b64encode(b'[1,"id",' + b"[" * 100_000).decode().rstrip("=")
    with pytest.raises(InvalidDataError):
        cursor.decode(forged, "id", [int])
