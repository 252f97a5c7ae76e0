from typing import Any

import pytest

from starpost.auth.handshake import chosen_subprotocol, handshake_token, is_origin_allowed
from starpost.errors import UnauthenticatedError


def scope(
    *headers: tuple[str, str], subprotocols: tuple[str, ...] = (), query: str = "", scheme: str = "ws"
) -> dict[str, Any]:
    return {
        "type": "websocket",
        "scheme": scheme,
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
        "subprotocols": list(subprotocols),
        "query_string": query.encode("latin-1"),
    }


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ((), None),
        (("json",), "json"),
        (("msgpack",), "msgpack"),
        (("msgpack", "json"), "msgpack"),
        (("json", "msgpack"), "json"),
        (("bearer.a.b.c", "msgpack"), "msgpack"),
        (("bearer.a.b.c",), None),
        (("graphql-ws", "json"), "json"),
        (("JSON",), None),
    ],
)
def test_the_first_offered_codec_is_chosen_and_never_the_token(offered: tuple[str, ...], chosen: str | None) -> None:
    assert chosen_subprotocol(scope(subprotocols=offered)) == chosen


HEADER = ("authorization", "Bearer a.b.c")


@pytest.mark.parametrize(
    "handshake",
    [
        pytest.param(scope(HEADER), id="header"),
        pytest.param(scope(subprotocols=("json", "bearer.a.b.c")), id="subprotocol"),
        pytest.param(scope(query="Authorization=Bearer%20a.b.c"), id="query"),
        pytest.param(scope(query="x=1&Authorization=Bearer+a.b.c&y="), id="query with a plus"),
        pytest.param(scope(query="authorization=bearer%20a.b.c"), id="query in lower case"),
        pytest.param(
            scope(HEADER, subprotocols=("bearer.a.b.c",), query="Authorization=Bearer%20a.b.c"), id="the same in all"
        ),
    ],
)
def test_a_token_is_found_wherever_a_client_can_put_it(handshake: dict[str, Any]) -> None:
    assert handshake_token(handshake, is_query_accepted=True) == "a.b.c"


@pytest.mark.parametrize("handshake", [scope(), scope(subprotocols=("json",), query="token=x&Authorization2=y")])
def test_no_token_waits_for_auth(handshake: dict[str, Any]) -> None:
    assert handshake_token(handshake, is_query_accepted=True) is None


def test_the_query_can_be_turned_off() -> None:
    query = "Authorization=Bearer%20a.b.c"

    assert handshake_token(scope(query=query), is_query_accepted=False) is None
    assert handshake_token(scope(("authorization", "Bearer x.y.z"), query=query), is_query_accepted=False) == "x.y.z"


@pytest.mark.parametrize(
    "handshake",
    [
        pytest.param(scope(("authorization", "Basic x")), id="another scheme"),
        pytest.param(scope(HEADER, HEADER), id="two headers"),
        pytest.param(scope(HEADER, subprotocols=("bearer.x.y.z",)), id="header and subprotocol differ"),
        pytest.param(scope(HEADER, query="Authorization=Bearer%20x.y.z"), id="header and query differ"),
        pytest.param(scope(subprotocols=("bearer.a.b.c", "bearer.x.y.z")), id="two subprotocols differ"),
        pytest.param(scope(query="Authorization=Bearer%20a&Authorization=Bearer%20b"), id="two in the query differ"),
        pytest.param(scope(subprotocols=("bearer.",)), id="empty subprotocol"),
        pytest.param(scope(query="Authorization="), id="empty query"),
        pytest.param(scope(query="Authorization=a.b.c"), id="query without a scheme"),
        pytest.param(scope(query="Authorization=Bearer%20%C3%A9"), id="query not ASCII"),
        pytest.param(scope(query="&".join(f"a{n}=1" for n in range(200))), id="endless query"),
    ],
)
def test_what_is_no_token_is_refused(handshake: dict[str, Any]) -> None:
    with pytest.raises(UnauthenticatedError):
        handshake_token(handshake, is_query_accepted=True)


def from_page(origin: str, host: str = "app.example", scheme: str = "ws") -> dict[str, Any]:
    return scope(("host", host), ("origin", origin), scheme=scheme)


def test_a_program_sends_no_origin() -> None:
    assert is_origin_allowed(scope(("host", "app.example")), ())


@pytest.mark.parametrize(
    ("site", "is_allowed"), [("same-origin", True), ("none", True), ("same-site", False), ("cross-site", False)]
)
def test_a_browser_that_leaves_the_origin_out(site: str, is_allowed: bool) -> None:
    assert is_origin_allowed(scope(("host", "app.example"), ("sec-fetch-site", site)), ()) == is_allowed


@pytest.mark.parametrize(
    "handshake",
    [
        from_page("http://app.example"),
        from_page("https://app.example"),
        from_page("https://APP.example"),
        from_page("https://app.example", scheme="wss"),
        from_page("https://app.example", host="app.example:443"),
        from_page("http://127.0.0.1:8000", host="127.0.0.1:8000"),
        from_page("http://[::1]:8000", host="[::1]:8000"),
    ],
)
def test_our_own_pages_may(handshake: dict[str, Any]) -> None:
    assert is_origin_allowed(handshake, ())


@pytest.mark.parametrize(
    "handshake",
    [
        from_page("https://evil.example"),
        from_page("https://app.example.evil.example"),
        from_page("https://evil.example#app.example"),
        from_page("https://app.example@evil.example"),
        from_page("https://app.example:8443"),
        from_page("http://127.0.0.1:8001", host="127.0.0.1:8000"),
        from_page("http://app.example", scheme="wss"),
        from_page("null"),
        from_page(""),
        from_page("file://"),
        from_page("https://"),
        from_page("https://app.example:99999"),
        from_page("https://[::1"),
        from_page("https://app.example", host="app.example:x"),
        scope(("origin", "https://app.example")),
        scope(("host", "app.example"), ("host", "app.example"), ("origin", "https://app.example")),
        scope(("host", "app.example"), ("origin", "https://app.example"), ("origin", "https://evil.example")),
    ],
)
def test_other_pages_may_not(handshake: dict[str, Any]) -> None:
    assert not is_origin_allowed(handshake, ("https://trusted.example",))


def test_listed_origins_may() -> None:
    allowed = ("https://Trusted.example/", "http://localhost:5173")

    assert is_origin_allowed(from_page("https://trusted.example"), allowed)
    assert is_origin_allowed(from_page("http://localhost:5173"), allowed)
    assert not is_origin_allowed(from_page("http://trusted.example"), allowed)
    assert not is_origin_allowed(from_page("http://localhost:5174"), allowed)


def test_the_star_is_every_origin() -> None:
    assert is_origin_allowed(from_page("https://evil.example"), ("*",))
    assert is_origin_allowed(from_page("null"), ("*",))
