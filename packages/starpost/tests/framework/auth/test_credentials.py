import pytest
from hypothesis import given
from hypothesis import strategies as st

from starpost.auth.credentials import bearer_token
from starpost.errors import UnauthenticatedError


def headers(*values: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"host", b"x"), *((b"authorization", value) for value in values)]


def test_no_header_is_no_token() -> None:
    assert bearer_token(headers()) is None


@pytest.mark.parametrize("value", [b"Bearer a.b.c", b"bearer a.b.c", b"BEARER  a.b.c ", b" Bearer a.b.c"])
def test_the_schemes_case_and_the_space_around_do_not_matter(value: bytes) -> None:
    assert bearer_token(headers(value)) == "a.b.c"


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([b""], id="empty"),
        pytest.param([b"Bearer"], id="scheme alone"),
        pytest.param([b"Bearer  "], id="no token"),
        pytest.param([b"Bearer a b"], id="two words"),
        pytest.param([b"Basic YWxpY2U6YWxpY2U="], id="another scheme"),
        pytest.param([b"a.b.c"], id="no scheme"),
        pytest.param([b"Bearer \xc3\xa9"], id="not ASCII"),
        pytest.param([b"Bearer a\x00b"], id="control character"),
        pytest.param([b"Bearer a,b"[:8] + b"\tb"], id="tab"),
        pytest.param([b"Bearer a.b.c", b"Bearer a.b.c"], id="twice"),
        pytest.param([b"Bearer a.b.c", b"Basic x"], id="two schemes"),
    ],
)
def test_anything_else_is_refused(values: list[bytes]) -> None:
    with pytest.raises(UnauthenticatedError):
        bearer_token(headers(*values))


@given(st.binary(max_size=60))
def test_bytes_of_any_kind_are_a_token_or_refused(value: bytes) -> None:
    try:
        token = bearer_token(headers(value))
    except UnauthenticatedError:
        return
    assert token
    assert token.isascii()
    assert token.isprintable()
