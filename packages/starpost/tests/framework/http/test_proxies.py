"""The client's address and scheme, behind proxies and behind liars."""

from typing import Any

import pytest
from structlog.testing import capture_logs
from websockets.exceptions import InvalidStatus

from starpost.http.proxies import MAX_HOPS, MAX_NAMED, TrustedProxies
from starpost.testing import Serve
from starpost.testing.issuer import Issuer
from starpost.testing.launched import Launched, until
from starpost.testing.packet_client import packet_client
from tests.framework.probe import ProbeID

TRUSTED = ("192.0.2.1", "10.0.0.0/8", "2001:db8::/32")


async def through(
    peer: str | None, *headers: tuple[str, str], trusted: tuple[str, ...] = TRUSTED, kind: str = "http"
) -> tuple[Any, str]:
    """Client and scheme as the next application sees them."""
    seen: list[Any] = []

    async def application(scope: Any, *_: Any) -> Any:
        seen.append(scope)

    scope: Any = {
        "type": kind,
        "client": None if peer is None else (peer, "4711"),
        "scheme": "ws" if kind == "websocket" else "http",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
    }
    await TrustedProxies(application, trusted)(scope, application, application)
    return seen[0]["client"], seen[0]["scheme"]


FOR, PROTO = "x-forwarded-for", "x-forwarded-proto"
PEER = "192.0.2.1"


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        (PEER, ["198.51.100.7"], ("198.51.100.7", 0)),
        (PEER, ["198.51.100.7:5678"], ("198.51.100.7", 5678)),
        (PEER, ["6.6.6.6, 198.51.100.7"], ("198.51.100.7", 0)),
        (PEER, ["6.6.6.6, 198.51.100.7, 10.1.2.3"], ("198.51.100.7", 0)),
        (PEER, ["6.6.6.6", "198.51.100.7", "10.1.2.3"], ("198.51.100.7", 0)),
        (PEER, ["10.9.9.9, 10.1.2.3"], ("10.9.9.9", 0)),
        (PEER, ["2001:db9::7"], ("2001:db9::7", 0)),
        (PEER, ["[2001:DB9::7]:5678"], ("2001:db9::7", 5678)),
        (PEER, ["[2001:db9::7]"], ("2001:db9::7", 0)),
        (PEER, ["::ffff:198.51.100.7"], ("198.51.100.7", 0)),
        (PEER, ["6.6.6.6, 2001:db8::5"], ("6.6.6.6", 0)),
        ("::ffff:192.0.2.1", ["198.51.100.7"], ("198.51.100.7", 0)),
        ("2001:db8::9", ["198.51.100.7"], ("198.51.100.7", 0)),
        # What is no address ends the chain: the last one known is the client.
        (PEER, ["unknown"], (PEER, "4711")),
        (PEER, [""], (PEER, "4711")),
        (PEER, ["198.51.100.7, <script>"], (PEER, "4711")),
        (PEER, ["198.51.100.7, , 10.1.2.3"], ("10.1.2.3", 0)),
        (PEER, ["198.51.100.7, [::1]x, 10.1.2.3"], ("10.1.2.3", 0)),
        (PEER, ["9" * 10_000], (PEER, "4711")),
        (PEER, ["6.6.6.6, " + "10.1.2.3, " * MAX_HOPS + "10.1.2.4"], ("10.1.2.3", 0)),
        # Whoever is no proxy of ours says nothing about others.
        ("203.0.113.9", ["198.51.100.7"], ("203.0.113.9", "4711")),
        ("11.0.0.1", ["198.51.100.7"], ("11.0.0.1", "4711")),
        ("", ["198.51.100.7"], ("", "4711")),
        (None, ["198.51.100.7"], None),
    ],
)
async def test_whose_address(peer: str | None, forwarded_for: list[str], client: Any) -> None:
    assert (await through(peer, *((FOR, value) for value in forwarded_for)))[0] == client


@pytest.mark.parametrize(
    ("kind", "headers", "scheme"),
    [
        ("http", [(PROTO, "https")], "https"),
        ("http", [(PROTO, "HTTPS ")], "https"),
        ("http", [(PROTO, "wss")], "https"),
        ("websocket", [(PROTO, "https")], "wss"),
        ("websocket", [(PROTO, "http")], "ws"),
        ("http", [(FOR, "198.51.100.7"), (PROTO, "https")], "https"),
        ("http", [(FOR, "6.6.6.6, 198.51.100.7, 10.1.2.3"), (PROTO, "http, https, http")], "https"),
        ("http", [(FOR, "198.51.100.7"), (PROTO, "https, http")], "http"),
        ("http", [(PROTO, "gopher")], "http"),
        ("http", [(PROTO, "")], "http"),
        ("http", [(PROTO, "https"), (PROTO, "https")], "http"),
    ],
)
async def test_the_scheme(kind: str, headers: list[tuple[str, str]], scheme: str) -> None:
    assert (await through(PEER, *headers, kind=kind))[1] == scheme


async def test_a_stranger_does_not_say_the_scheme() -> None:
    assert await through("203.0.113.9", (PROTO, "https")) == (("203.0.113.9", "4711"), "http")


async def test_an_undeclared_proxy_is_named_once() -> None:
    async def application(*_: Any) -> Any:
        pass

    proxies = TrustedProxies(application, TRUSTED)
    with capture_logs() as lines:
        for _ in range(2):
            for number in range(MAX_NAMED + 5):
                scope: Any = {
                    "type": "http",
                    "client": (f"203.0.113.{number}", 1),
                    "headers": [(FOR.encode(), b"1.2.3.4")],
                }
                await proxies(scope, application, application)
    assert [line["event"] for line in lines] == ["undeclared_proxy"] * MAX_NAMED
    assert lines[0]["address"] == "203.0.113.0"


@pytest.fixture(name="behind_a_proxy")
def _behind_a_proxy(serve: Serve) -> Launched:
    return serve(TRUSTED_PROXIES="127.0.0.1, 10.0.0.0/8")


async def test_logs_name_the_client(behind_a_proxy: Launched, issuer: Issuer) -> None:
    headers = {"X-Forwarded-For": "6.6.6.6, 198.51.100.7, 10.1.2.3"}
    behind_a_proxy.get("/nowhere?by=proxy", headers=headers)
    (line,) = until(
        lambda: [line for line in behind_a_proxy.lines("request") if line.get("query") == "by=proxy"], "its line"
    )
    assert line["address"] == "198.51.100.7"
    async with packet_client(behind_a_proxy.port, issuer.token(), additional_headers=headers):
        pass
    until(lambda: [line for line in behind_a_proxy.lines("connected") if line["address"] == "198.51.100.7"], "its line")


async def test_origin_and_forwarded_scheme(behind_a_proxy: Launched, issuer: Issuer) -> None:
    """Who came by TLS has pages by TLS: one without is another origin."""
    headers = {"X-Forwarded-For": "198.51.100.7", "X-Forwarded-Proto": "https"}
    options: Any = {"name": "localhost", "additional_headers": headers}
    origin = f"localhost:{behind_a_proxy.port}"
    async with packet_client(behind_a_proxy.port, issuer.token(), origin=f"https://{origin}", **options) as client:
        assert (await client.ask(ProbeID.WHO))["status_code"] == 0
    with pytest.raises(InvalidStatus) as refused:
        async with packet_client(behind_a_proxy.port, issuer.token(), origin=f"http://{origin}", **options):
            pass
    assert refused.value.response.status_code == 403


async def test_an_undeclared_proxy(serve: Serve) -> None:
    server = serve()
    for _ in range(3):
        server.get("/health/live?undeclared", headers={"X-Forwarded-For": "198.51.100.7"})
    lines = until(lambda: server.lines("undeclared_proxy"), "its line")
    assert [line["address"] for line in lines] == ["127.0.0.1"]
