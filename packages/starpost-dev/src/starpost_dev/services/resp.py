"""Minimal client of the Redis protocol, version 2: one command and its reply.

The services run without the project's dependencies, so there is no client library here.
"""

from __future__ import annotations

import socket
from io import BufferedReader
from typing import Any


class CommandError(Exception):
    """The server refused the command; the message is the server's."""


def command(address: tuple[str, int], password: str, *arguments: str, timeout: float = 5.0) -> Any:
    """Connect, authenticate, run one command, and return the reply.

    Args:
        address: Host and port.
        password: Password of the default user.
        arguments: The command and its arguments.
        timeout: The longest silence of the server, in seconds.

    Returns:
        The reply: str, int, None, or a list of these.

    Raises:
        OSError: The server is away, or ended the connection.
        CommandError: The server refused the password or the command.
    """
    with socket.create_connection(address, timeout) as connection, connection.makefile("rb") as replies:
        connection.sendall(_encode("AUTH", password) + _encode(*arguments))
        _read(replies)
        return _read(replies)


def _encode(*arguments: str) -> bytes:
    parts = [argument.encode() for argument in arguments]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)


def _read(replies: BufferedReader) -> Any:
    line = replies.readline()
    if not line.endswith(b"\r\n"):
        raise ConnectionResetError("The server ended the connection.")
    kind, rest = line[:1], line[1:-2]
    match kind:
        case b"+":
            return rest.decode()
        case b"-":
            raise CommandError(rest.decode())
        case b":":
            return int(rest)
        case b"$":
            return None if rest == b"-1" else replies.read(int(rest) + 2)[:-2].decode(errors="replace")
        case b"*":
            return None if rest == b"-1" else [_read(replies) for _ in range(int(rest))]
        case _:
            raise CommandError("The reply is not of the Redis protocol.")
