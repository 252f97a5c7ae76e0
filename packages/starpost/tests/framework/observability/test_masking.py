"""No secret in a log line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from starpost.observability.masking import mask_secrets, mask_text
from starpost.settings import Secret

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"


def masked(**event: object) -> dict[str, object]:
    return dict(mask_secrets(None, "info", event))


@pytest.mark.parametrize(
    "name",
    [
        "token",
        "access_token",
        "refresh_token",
        "password",
        "db_password",
        "Authorization",
        "cookie",
        "Set-Cookie",
        "client_secret",
        "api_key",
        "apikey",
        "private_key",
        "jwt",
    ],
)
def test_values_of_telling_names_are_masked(name: str) -> None:
    assert masked(**{name: "hunter2"}) == {name: "***"}
    assert masked(nested={"deep": [{name: "hunter2"}]}) == {"nested": {"deep": [{name: "***"}]}}


def test_names_that_only_look_so_are_not() -> None:
    event = {"token_type": "Bearer", "token_expires_at": 5, "key": "a", "author": "x", "status": 200, "user": "alice"}
    assert masked(**event) == event


@given(st.text(alphabet="abc .,'\"{}:/", max_size=20), st.text(alphabet="abc .,'\"{}:/", max_size=20))
def test_a_token_is_found_wherever_it_stands(before: str, after: str) -> None:
    assert JWT not in mask_text(f"{before} {JWT} {after}")


@pytest.mark.parametrize("before", ["x", "token_", "a.", "a.b.c.", "-", "eyJ", "eyJ.a.", "bearer%20", "="])
def test_a_token_is_found_in_a_word(before: str) -> None:
    assert "eyJhbGci" not in mask_text(before + JWT)
    assert "c2lnbmF0" not in mask_text(before + JWT)


@pytest.mark.parametrize("piece", ["eyJaaaaa", "eyJ.", "eyJaaaaa.", "://", "://a", "a:", "bearer ", "eyJ-"])
def test_a_long_text_is_gone_through_once(piece: str) -> None:
    # The square of so many characters would be hours.
    text = f"eyJ :// {piece * 200_000} {JWT}"
    assert JWT not in mask_text(text)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Authorization: Bearer s3cret-opaque", "Authorization: Bearer ***"),
        ("?Authorization=Bearer%20s3cret&page=1", "?Authorization=Bearer%20***&page=1"),
        ("bEaReR s3cret", "bEaReR ***"),
        ("?Authorization=bearer+s3cret&page=1", "?Authorization=bearer+***&page=1"),
        ("postgresql://app:s3cret@db/app", "postgresql://***@db/app"),
        ("redis://:s3cret@cache", "redis://***@cache"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_bearer_tokens_and_passwords_of_urls(text: str, kept: str) -> None:
    assert mask_text(text) == kept


def test_what_is_no_text_is_masked_too() -> None:
    class Shows:
        def __repr__(self) -> str:
            return f"<Shows {JWT}>"

    assert masked(a=Secret("hunter2"), b=Shows(), c=(Shows(),)) == {
        "a": "***",
        "b": "<Shows ***>",
        "c": ["<Shows ***>"],
    }
