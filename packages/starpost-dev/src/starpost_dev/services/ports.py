"""Free TCP ports of this machine, and a record of them, so that addresses stay the same between runs."""

from __future__ import annotations

import json
import random
import socket
from pathlib import Path

LOOPBACK = "127.0.0.1"

# Below the ports that kernels give to outgoing connections (32768 on Linux, 49152 on macOS): a client's connection
# must not sit on a server's port while the server restarts.
_RANGE = range(20000, 32000)


def why_not_free(host: str, port: int) -> OSError | None:
    """Try to bind a port. Return the error if a server could not listen there."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        return error
    for family, kind, protocol, _, address in addresses:
        with socket.socket(family, kind, protocol) as probe:
            # Old connections of a server that has just ended do not count; a listening server still does.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(address)
                probe.listen()
            except OSError as error:
                return error
    return None


def is_free(port: int) -> bool:
    """Return whether a server could listen on the port of the loopback address."""
    return why_not_free(LOOPBACK, port) is None


def free_port(preferred: int | None = None) -> int:
    """Return the preferred port if it is free, else any free one. It may be taken before it is used."""
    if preferred is not None and is_free(preferred):
        return preferred
    # Random, so that simultaneous test runs do not find the same port.
    return next(port for port in random.sample(_RANGE, len(_RANGE)) if is_free(port))


class PortMemory:
    """File with the ports that the servers of a state folder used last."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __getitem__(self, server: str) -> int | None:
        port = self._read().get(server)
        return port if isinstance(port, int) and port in range(1, 65536) else None

    def __setitem__(self, server: str, port: int) -> None:
        half = self._file.with_name(self._file.name + ".tmp")
        half.write_text(json.dumps({**self._read(), server: port}) + "\n")
        half.replace(self._file)

    def _read(self) -> dict[str, object]:
        try:
            content = json.loads(self._file.read_text())
        except (OSError, ValueError):
            # Only preferences are lost, and the next start writes the file anew.
            return {}
        return content if isinstance(content, dict) else {}
