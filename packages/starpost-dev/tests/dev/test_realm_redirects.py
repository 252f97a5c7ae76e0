"""Where a client may be answered."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from starpost_dev.realm.authorization import is_valid_redirect

LOOPBACK = ["http://127.0.0.1/*", "http://localhost/*"]


@pytest.mark.parametrize(
    ("uri", "patterns"),
    [
        ("http://127.0.0.1/", LOOPBACK),
        ("http://127.0.0.1:65535/a/b?c=d", LOOPBACK),
        ("http://localhost:3000/x", LOOPBACK),
        ("http://127.0.0.1", LOOPBACK),
        ("https://app.example.org/callback", ["https://app.example.org/callback"]),
        ("https://app.example.org/a/b", ["https://app.example.org/*"]),
    ],
)
def test_good(uri: str, patterns: list[str]) -> None:
    assert is_valid_redirect(uri, patterns)


@pytest.mark.parametrize(
    ("uri", "patterns"),
    [
        (None, LOOPBACK),
        ("", LOOPBACK),
        ("/relative", LOOPBACK),
        ("http://127.0.0.1.example.org/", LOOPBACK),
        ("http://127.0.0.1@example.org/", LOOPBACK),
        ("http://127.0.0.1:80@example.org/", LOOPBACK),
        ("http://user@127.0.0.1/", LOOPBACK),
        ("http://127.0.0.1:99999/", LOOPBACK),
        ("http://127.0.0.1:x/", LOOPBACK),
        ("http://127.0.0.1/a/../b", LOOPBACK),
        ("http://127.0.0.1/%2e%2e/b", LOOPBACK),
        ("http://127.0.0.1\\@example.org/", LOOPBACK),
        ("http://127.0.0.1/\r\nSet-Cookie: a=b", LOOPBACK),
        ("https://127.0.0.1/", LOOPBACK),
        ("javascript:alert(1)", LOOPBACK),
        ("https://app.example.org:8443/callback", ["https://app.example.org/callback"]),
        ("https://app.example.org/callback/x", ["https://app.example.org/callback"]),
        ("https://app.example.org/callback?x", ["https://app.example.org/callback"]),
        ("http://127.0.0.1/", []),
    ],
)
def test_bad(uri: str | None, patterns: list[str]) -> None:
    assert not is_valid_redirect(uri, patterns)


@given(st.text(alphabet="htp:/127.0localhosexmrg@%2e\\?#&*[]", max_size=40))
def test_no_other_host_is_ever_good(rest: str) -> None:
    uri = f"http://{rest}"

    if is_valid_redirect(uri, LOOPBACK):
        assert urlsplit(uri).hostname in ("127.0.0.1", "localhost")
