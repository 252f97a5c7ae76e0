"""Reservation of the port, so that no other launcher shares it."""

import socket
from typing import Final

PICOWS_MISSING: Final = "WS_PORT needs the package picows, which starpost[picows] brings"


class PortError(Exception):
    """The launcher cannot listen on the address; the message says why."""


def reserve_port(host: str, port: int) -> socket.socket:
    """Reserve the port without listening on it. Keep the socket open for as long as the workers listen.

    Every worker opens its own socket with ``SO_REUSEPORT``, so that the kernel spreads the connections over them. That
    option also lets a second launcher of the same user listen on the port and silently take part of the connections. So
    we listen once without it, which fails if anybody else does. With port 0, the reservation gives all workers the same
    port.

    Args:
        host: Name or address.
        port: 0 chooses a free one, which is in ``socket.getsockname()[1]``.

    Raises:
        PortError: The host is unknown, or the port is in use or not ours to use.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            # A socket that is only bound does not collide with another launcher's reservation; a listening one does.
            probe.listen(1)
        reserved = socket.socket(family, kind, protocol)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind(address)
    except OSError as error:
        raise PortError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    return reserved
