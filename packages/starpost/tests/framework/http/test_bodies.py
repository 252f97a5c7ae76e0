"""Bodies that are too large, too slow, cut short or of no kind, sent to a real server by hand."""

import json
import socket
from contextlib import ExitStack
from typing import Any

import pytest

from starpost.testing import Serve
from starpost.testing.issuer import Issuer
from starpost.testing.launched import Launched, until
from tests.framework import raw_http

LIMIT = 4096
PATH = "/probe/bodies"


@pytest.fixture(name="server")
def _server(serve: Serve, request: pytest.FixtureRequest) -> Launched:
    """Without much room, unless a test is about the time that there is."""
    return serve(**getattr(request, "param", {"MAX_BODY_BYTES": str(LIMIT)}))


hasty = pytest.mark.parametrize("server", [{"BODY_TIMEOUT": "0.4"}], ids=[""], indirect=True)
"""Without much time: whoever sends a whole body may be too slow for this server."""


@pytest.fixture(name="head")
def _head(server: Launched, issuer: Issuer) -> Any:
    def head(*lines: str, path: str = PATH, media_type: str | None = "application/json") -> bytes:
        fields = [
            f"POST {path} HTTP/1.1",
            f"Host: 127.0.0.1:{server.port}",
            f"Authorization: Bearer {issuer.token()}",
            *lines,
        ]
        if media_type is not None:
            fields.append(f"Content-Type: {media_type}")
        return "".join(f"{line}\r\n" for line in (*fields, "")).encode()

    return head


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def is_closed(connection: socket.socket) -> bool:
    """Whether the server has closed: nothing more comes."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def problem_of(connection: socket.socket) -> dict[str, Any]:
    """The problem document of the next answer."""
    answer = raw_http.answer_of(connection)
    problem: dict[str, Any] = json.loads(answer.read())
    assert answer.status == problem["status"]
    assert answer.getheader("content-type") == "application/problem+json"
    return problem


def test_a_body_as_it_should_be(server: Launched, head: Any) -> None:
    body = json.dumps({"name": "a"}).encode()
    with raw_http.connected(server.port) as connection:
        for _ in range(2):
            connection.sendall(head(f"Content-Length: {len(body)}") + body)
            answer = raw_http.answer_of(connection)
            assert (answer.status, json.loads(answer.read())) == (201, {"name": "a", "numbers": [], "note": None})
            connection.sendall(head("Transfer-Encoding: chunked") + chunk(body[:5]) + chunk(body[5:]) + chunk(b""))
            assert raw_http.answer_of(connection).read()


def test_a_body_that_says_that_it_is_too_large(server: Launched, head: Any) -> None:
    with raw_http.connected(server.port) as connection:
        connection.sendall(head(f"Content-Length: {LIMIT + 1}"))
        assert problem_of(connection)["code"] == "body_too_large"
        assert is_closed(connection)


def test_a_chunked_body_is_counted_while_it_comes(server: Launched, head: Any) -> None:
    """Without an end: the answer comes all the same, and nothing more is read."""
    with raw_http.connected(server.port) as connection:
        connection.sendall(head("Transfer-Encoding: chunked"))
        for _ in range(5):
            connection.sendall(chunk(b" " * (LIMIT // 4)))
        assert problem_of(connection)["code"] == "body_too_large"
        assert is_closed(connection)


@hasty
@pytest.mark.parametrize("framing", ["Content-Length: 4000", "Transfer-Encoding: chunked"])
def test_bodies_that_do_not_come(server: Launched, head: Any, framing: str) -> None:
    """Several: none of the connections may be left open, whichever of the server's threads is first."""
    with ExitStack() as stack:
        connections = [stack.enter_context(raw_http.connected(server.port)) for _ in range(10)]
        for connection in connections:
            connection.sendall(head(framing))
        for connection in connections:
            assert problem_of(connection)["code"] == "body_timeout"
            assert is_closed(connection)


def test_bodies_that_a_slow_route_does_not_read(server: Launched, head: Any) -> None:
    """Slow enough for the sweep to ask whether the clients are there: what asks must not keep the connection."""
    with ExitStack() as stack:
        connections = [stack.enter_context(raw_http.connected(server.port)) for _ in range(10)]
        for connection in connections:
            connection.sendall(head("Content-Length: 4000", path="/probe/slow"))
        for connection in connections:
            answer = raw_http.answer_of(connection)
            answer.read()
            assert answer.status == 200
            assert is_closed(connection)


@hasty
def test_a_body_that_drips(server: Launched, head: Any) -> None:
    """Each byte in time, the whole not."""
    with raw_http.connected(server.port) as connection:
        connection.sendall(head("Content-Length: 4000"))
        connection.settimeout(0.05)
        for _ in range(3999):
            try:
                connection.sendall(b" ")
                connection.recv(1, socket.MSG_PEEK)
                break
            except TimeoutError:
                continue
        connection.settimeout(raw_http.PATIENCE)
        assert problem_of(connection)["code"] == "body_timeout"


def test_a_client_that_goes_in_the_middle(server: Launched, head: Any) -> None:
    """Is no fault of ours, and leaves no trace of one."""
    with raw_http.connected(server.port) as connection:
        connection.sendall(head("Content-Length: 4000", "X-Request-ID: gone-early") + b"{")
    (line,) = until(
        lambda: [line for line in server.lines("request") if line["correlation_id"] == "gone-early"], "its line"
    )
    assert line["status"] == 400
    assert not server.lines("request_failed")


@pytest.mark.parametrize(
    ("path", "status"), [("/probe/leave", 200), ("/nowhere", 404), ("/health/live", 405), ("/connections", 405)]
)
def test_a_body_that_nobody_reads(server: Launched, head: Any, path: str, status: int) -> None:
    """The answer does not wait for it, and the connection is not kept for it."""
    with raw_http.connected(server.port) as connection:
        connection.sendall(head("Content-Length: 1000000000", path=path))
        answer = raw_http.answer_of(connection)
        answer.read()
        assert answer.status == status
        assert is_closed(connection)


@pytest.mark.parametrize("framing", ["Content-Length: 2", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("media_type", [None, ""])
@pytest.mark.parametrize("path", [PATH, "/probe/leave", "/auth/backchannel-logout", "/nowhere"])
def test_a_body_of_no_kind(server: Launched, head: Any, framing: str, media_type: str | None, path: str) -> None:
    with raw_http.connected(server.port) as connection:
        connection.sendall(head(framing, path=path, media_type=media_type))
        assert problem_of(connection)["code"] == "unsupported_media_type"


@pytest.mark.parametrize("lines", [[], ["Content-Length: 0"]])
def test_no_body_needs_no_kind(server: Launched, head: Any, lines: list[str]) -> None:
    with raw_http.connected(server.port) as connection:
        connection.sendall(head(*lines, path="/probe/leave", media_type=None))
        assert raw_http.answer_of(connection).status == 200
