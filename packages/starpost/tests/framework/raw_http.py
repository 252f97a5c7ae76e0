"""Requests as bytes over a socket of their own: what no client of HTTP would send."""

import socket
from http.client import HTTPResponse

PATIENCE = 100.0


def connected(port: int) -> socket.socket:
    """A connection to a server of this machine."""
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


def send(port: int, *lines: str, body: bytes = b"") -> HTTPResponse:
    """The answer to a head of these lines and this body; it has been read, ``read`` gives its body again."""
    with connected(port) as connection:
        connection.sendall("".join(f"{line}\r\n" for line in (*lines, "")).encode("latin-1") + body)
        return answer_of(connection)


def answer_of(connection: socket.socket) -> HTTPResponse:
    """The next answer on this connection, its head read."""
    response = HTTPResponse(connection)
    response.begin()
    return response
