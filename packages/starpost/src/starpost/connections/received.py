"""Bytes that a TCP socket has received, as the kernel counts them.

Granian reads a message of up to 64 MiB to its end before we see any of it, and has neither a setting nor a hook for
incomplete ones. The Linux kernel reports the received bytes of a connection by netlink (sock_diag(7)), without
privileges, and without the socket's file descriptor, which Granian has.
"""

import socket
import struct
import sys
import time
from typing import Any, Final, NamedTuple

import structlog

_SOCK_DIAG: Final = 4
_ROUTE: Final = 0
_SOCK_DIAG_BY_FAMILY: Final = 20
_GET_ADDRESSES: Final = 22
_NEW_ADDRESS: Final = 20
_ERROR: Final = 2
_REQUEST: Final = 1
_DUMP: Final = 0x300
_NO_COOKIE: Final = 0xFFFF_FFFF
_ALL_STATES: Final = 0xFFFF_FFFF
_INFO: Final = 2
"""Attribute ``INET_DIAG_INFO``, a ``struct tcp_info``; requested by the bit of its number minus one."""

_RECEIVED_OFFSET: Final = 128
"""Offset of ``tcpi_bytes_received`` in ``struct tcp_info`` (linux/tcp.h), which is only extended at its end."""

_HEADER: Final = struct.Struct("=IHHII")
_ATTRIBUTE: Final = struct.Struct("=HH")
_DIAG_MESSAGE_SIZE: Final = 72
_ADDRESS_MESSAGE_SIZE: Final = 8
_ANSWER_SIZE: Final = 65_536
_MAPPED: Final = "::ffff:"

ADDRESSES_LAST: Final = 60.0
"""Seconds for which this machine's addresses are cached if a connection has none of them."""

log = structlog.get_logger(__name__)

Address = tuple[str, int]


class Link(NamedTuple):
    """Both ends of a TCP connection, as the server names them."""

    local: Address
    """Address on which the server listens; its host may be unspecified (``0.0.0.0``, ``::``)."""

    peer: Address


def link_of(local: Any, peer: Any) -> Link | None:
    """Return the link of an ASGI scope's ``server`` and ``client``; ``None`` if it is not a TCP connection."""
    try:
        # Granian gives ports as strings.
        return Link((local[0], int(local[1])), (peer[0], int(peer[1])))
    except (TypeError, ValueError):
        return None


class ReceivedBytes:
    """Reader of the kernel's counters: 6 µs for an answer, without a wait."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._hosts: list[str] = []
        self._hosts_until = 0.0
        self._number = 0
        self._has_warned = False

    def open(self) -> None:
        """Open the netlink socket. Without Linux, or without permission, nothing is known, which is logged once."""
        try:
            self._socket = _netlink(_SOCK_DIAG)
            self._learn_hosts()
        except (AttributeError, OSError) as error:
            self._warn(error)

    def close(self) -> None:
        """Close the netlink socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def of(self, link: Link) -> int | None:
        """Return the bytes received since the connection began; ``None`` if unknown, or it has ended."""
        if self._socket is None:
            return None
        host, port = link.local
        received = None
        try:
            if host not in ("0.0.0.0", "::"):  # noqa: S104 - compared, not listened on
                return self._ask(host, port, link.peer)
            received = self._ask_all(port, link.peer)
            if received is None and time.monotonic() > self._hosts_until:
                self._learn_hosts()
                received = self._ask_all(port, link.peer)
        except (OSError, struct.error) as error:
            self._warn(error)
            return None
        return received

    def _learn_hosts(self) -> None:
        self._hosts = _own_addresses()
        self._hosts_until = time.monotonic() + ADDRESSES_LAST

    def _ask_all(self, port: int, peer: Address) -> int | None:
        """Ask for a connection to any of our addresses."""
        for place, host in enumerate(self._hosts):
            received = self._ask(host, port, peer)
            if received is not None:
                # Most clients use the same address, so it is tried first next time.
                self._hosts.insert(0, self._hosts.pop(place))
                return received
        return None

    def _ask(self, host: str, port: int, peer: Address) -> int | None:
        ends = [end.removeprefix(_MAPPED) if "." in end else end for end in (host, peer[0])]
        families = {socket.AF_INET6 if ":" in end else socket.AF_INET for end in ends}
        if len(families) > 1 or self._socket is None:
            return None
        family = families.pop()
        source, destination = (socket.inet_pton(family, end.partition("%")[0]).ljust(16, b"\0") for end in ends)
        request = (
            struct.pack("=BBBBI", family, socket.IPPROTO_TCP, 1 << (_INFO - 1), 0, _ALL_STATES)
            + struct.pack("!HH", port, peer[1])
            + source
            + destination
            + struct.pack("=III", 0, _NO_COOKIE, _NO_COOKIE)
        )
        self._number = (self._number + 1) & 0xFFFF_FFFF
        self._socket.send(_message(_SOCK_DIAG_BY_FAMILY, _REQUEST, request, self._number))
        # The kernel answers within `send`. An older answer, left after a fault, belongs to another connection.
        answer, number = b"", -1
        while number != self._number:
            answer = self._socket.recv(_ANSWER_SIZE)
            _, kind, _, number, _ = _HEADER.unpack_from(answer)
        if kind == _ERROR:
            return None
        info = _attributes(answer, _HEADER.size + _DIAG_MESSAGE_SIZE, len(answer)).get(_INFO)
        if info is None or len(info) < _RECEIVED_OFFSET + 8:
            return None
        return int.from_bytes(info[_RECEIVED_OFFSET : _RECEIVED_OFFSET + 8], sys.byteorder)

    def _warn(self, error: Exception) -> None:
        if not self._has_warned:
            self._has_warned = True
            log.warning("received_bytes_unknown", cause=repr(error))


def _netlink(protocol: int) -> socket.socket:
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, protocol)
    netlink.connect((0, 0))
    return netlink


def _message(kind: int, flags: int, body: bytes, number: int = 0) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, number, 0) + body


def _attributes(answer: bytes, at: int, end: int) -> dict[int, bytes]:
    """Parse netlink's attributes: length and kind, then the value, each aligned to four bytes."""
    found = {}
    while at + _ATTRIBUTE.size <= end:
        length, kind = _ATTRIBUTE.unpack_from(answer, at)
        if length < _ATTRIBUTE.size:
            break
        found[kind] = answer[at + _ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3
    return found


def _own_addresses() -> list[str]:
    """Return the addresses of this machine (rtnetlink(7)), one of which a client uses."""
    address, local = 1, 2
    found: list[str] = []
    with _netlink(_ROUTE) as route:
        route.send(_message(_GET_ADDRESSES, _REQUEST | _DUMP, bytes(_ADDRESS_MESSAGE_SIZE)))
        while True:
            answer, at = route.recv(_ANSWER_SIZE), 0
            while at < len(answer):
                length, kind, *_ = _HEADER.unpack_from(answer, at)
                if kind != _NEW_ADDRESS:
                    return found
                values = _attributes(answer, at + _HEADER.size + _ADDRESS_MESSAGE_SIZE, at + length)
                value = values.get(local) or values[address]
                found.append(socket.inet_ntop(socket.AF_INET if len(value) == 4 else socket.AF_INET6, value))
                at += (length + 3) & ~3
