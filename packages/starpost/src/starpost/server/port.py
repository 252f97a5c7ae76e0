"""The port: taken once, and surely ours."""

import socket


class PortError(Exception):
    """The address cannot be listened on."""


def reserve_port(host: str, port: int) -> socket.socket:
    """Take the port without listening on it; keep the socket for as long as the workers listen.

    Every worker opens its own socket (``SO_REUSEPORT``), so that the kernel spreads the connections over them. It also
    lets a second launcher of the same user listen on the same port, and share the connections in silence. So it is
    first tried without, which fails when anybody listens. And with port 0 each worker would get another one.

    Args:
        host: Name or address.
        port: 0 takes a free one: ``socket.getsockname()[1]`` tells which.

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
            # A bound socket alone does not collide with another that only reserves, a listening one does.
            probe.listen(1)
        reserved = socket.socket(family, kind, protocol)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind(address)
    except OSError as error:
        raise PortError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    return reserved
