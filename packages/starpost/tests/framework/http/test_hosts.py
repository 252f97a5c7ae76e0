"""Names under which we may be called, as patterns and over real sockets."""

import json

import pytest
from websockets.exceptions import InvalidStatus

from starpost.http.hosts import AllowedHosts
from starpost.observability.security_log import SecurityLog
from starpost.settings import LOOPBACK_HOSTS
from starpost.testing import Serve
from starpost.testing.issuer import Issuer
from starpost.testing.launched import Launched
from starpost.testing.packet_client import packet_client
from tests.framework import raw_http

PATTERNS = ("Example.com", "port.example:8443", "*.below.example", "*.port.example:81", "[2001:db8::1]", "under_score")


async def nobody(*_: object) -> None:
    raise AssertionError("not called here")


@pytest.mark.parametrize(
    ("host", "is_allowed"),
    [
        ("example.com", True),
        ("EXAMPLE.COM:8000", True),
        ("example.com.", True),
        ("example.com.:80", True),
        ("example.com:", True),
        ("example.com..", False),
        ("www.example.com", False),
        ("example.com.evil.example", False),
        ("evil-example.com", False),
        ("example.com:80:80", False),
        ("example.com:x", False),
        ("example.com:123456", False),
        ("example.com/", False),
        ("example.com@evil.example", False),
        ("user@example.com", False),
        ("example.com, example.com", False),
        ("example.com evil.example", False),
        ("example.com\n", False),
        (" example.com", False),
        ("port.example:8443", True),
        ("port.example", False),
        ("port.example:443", False),
        ("a.below.example", True),
        ("a.b.below.example:1", True),
        ("below.example", False),
        (".below.example", False),
        ("abelow.example", False),
        ("*.below.example", False),
        ("a.port.example:81", True),
        ("a.port.example", False),
        ("[2001:db8::1]", True),
        ("[2001:DB8::1]:80", True),
        ("2001:db8::1", False),
        ("[2001:db8::1", False),
        ("under_score:1", True),
        ("exämple.com", False),
        ("", False),
        (":80", False),
    ],
)
def test_patterns(host: str, is_allowed: bool) -> None:
    hosts = AllowedHosts(nobody, PATTERNS, SecurityLog(lambda _: None))
    assert hosts.allows(host.encode()) == is_allowed


@pytest.mark.parametrize("host", ["localhost", "app.localhost:8000", "127.0.0.1:8000", "[::1]:8000"])
def test_loopback(host: str) -> None:
    assert AllowedHosts(nobody, LOOPBACK_HOSTS, SecurityLog(lambda _: None)).allows(host.encode())


@pytest.fixture(name="probe")
def _probe(serve: Serve) -> Launched:
    return serve()


@pytest.mark.parametrize(
    "lines",
    [
        ["Host: evil.example"],
        ["Host: evil.example:{port}", "Origin: http://evil.example:{port}"],
        ["Host: 127.0.0.1:{port}", "Host: evil.example"],
        ["Host: 127.0.0.1:{port}", "Host: 127.0.0.1:{port}"],
        ["Host:"],
        ["Host: 127.0.0.1:{port}/"],
        ["Host: " + "a." * 1000 + "localhost"],
        [],
    ],
)
@pytest.mark.parametrize("path", ["/health/live", "/authors", "/nowhere"])
def test_a_request_for_another_host(probe: Launched, path: str, lines: list[str]) -> None:
    named = [line.format(port=probe.port) for line in lines]
    answer = raw_http.send(probe.port, f"GET {path} HTTP/1.1", "Connection: close", *named)
    problem = json.loads(answer.read())
    assert (answer.status, problem["status"], problem["code"]) == (400, 400, "host_not_allowed")
    assert answer.getheader("content-type") == "application/problem+json"
    assert answer.getheader("x-request-id")


async def test_a_page_that_points_its_name_at_us(probe: Launched, issuer: Issuer) -> None:
    """For the browser it is the same origin, and the Origin check has nothing to say."""
    with pytest.raises(InvalidStatus) as refused:
        async with packet_client(
            probe.port, issuer.token(), name="evil.example", origin=f"http://evil.example:{probe.port}"
        ):
            pass
    response = refused.value.response
    assert response.status_code == 400
    assert json.loads(response.body)["code"] == "host_not_allowed"
    (line,) = [line for line in probe.lines("handshake_refused") if line["reason"] == "host"]
    assert line["address"] == "127.0.0.1"
