"""Requests whose end a proxy and the server could see at different places (request smuggling, RFC 9112, 11.2)."""

from contextlib import suppress

import pytest

from starpost.testing import Serve
from starpost.testing.issuer import Issuer
from tests.framework import raw_http

BODY = b'{"name":"a"}'
CHUNKED = b"c\r\n" + BODY + b"\r\n0\r\n\r\n"
SECOND = b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.mark.parametrize(
    ("lines", "body", "status"),
    [
        # Both may be refused, or the chunks count and the connection ends (RFC 9112, 6.3).
        (["Content-Length: 4", "Transfer-Encoding: chunked"], CHUNKED, 201),
        ([f"Content-Length: {len(CHUNKED + SECOND)}", "Transfer-Encoding: chunked"], CHUNKED, 201),
        (["Transfer-Encoding: xchunked"], CHUNKED, 400),
        (["Transfer-Encoding: chunked", "Transfer-Encoding: identity"], CHUNKED, 400),
        (["Transfer-Encoding: chunked"], CHUNKED.replace(b"c\r\n", b"0xc\r\n", 1), 400),
        (["Transfer-Encoding: chunked"], CHUNKED.replace(b"\r\n", b"\n"), 400),
        (["Content-Length: 12", "Content-Length: 4"], BODY, 400),
        (["Content-Length: +12"], BODY, 400),
        (["Content-Length : 12"], BODY, 400),
        (["X-Folded: a", " b: c", "Content-Length: 12"], BODY, 400),
        (["X-Nul: a\0b", "Content-Length: 12"], BODY, 400),
    ],
)
def test_what_two_may_read_differently(
    serve: Serve, issuer: Issuer, lines: list[str], body: bytes, status: int
) -> None:
    """It is refused, or one thing for sure; nothing that comes behind it on the connection is a request."""
    server = serve()
    head = [
        "POST /probe/bodies HTTP/1.1",
        f"Host: 127.0.0.1:{server.port}",
        "Content-Type: application/json",
        f"Authorization: Bearer {issuer.token()}",
        *lines,
    ]
    with raw_http.connected(server.port) as connection:
        connection.sendall("".join(f"{line}\r\n" for line in [*head, ""]).encode("latin-1") + body + SECOND)
        answer = raw_http.answer_of(connection)
        answer.read()
        assert answer.status == status
        # Reset, where the server has closed with the second request unread.
        with suppress(ConnectionResetError):
            assert connection.recv(1) == b"", "a second answer"
