"""``TRUSTED_PROXIES``: the proxies whose headers give the client's address and scheme.

We do not use Granian's middleware (``granian.utils.proxies``): it accepts any text in the header as an address, handles
neither ports nor IPv4-mapped addresses, and reads a wrong network as a name.
"""

from collections.abc import Awaitable, Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final, NamedTuple

import structlog
from litestar.types import ASGIApp, Receive, Scope, Send

from starpost.header_fields import fields_of

MAX_HOPS: Final = 32
"""Entries of ``X-Forwarded-For`` that are read, from the right."""

MAX_NAMED: Final = 16
"""Most untrusted senders of ``X-Forwarded-For`` that the log names, since anybody may send the header."""

_LONGEST_HOP: Final = 64
_REMEMBERED: Final = 4096
_SECURE: Final = {"http": False, "ws": False, "https": True, "wss": True}

Address = IPv4Address | IPv6Address

log = structlog.get_logger(__name__)


class _Hop(NamedTuple):
    """Entry of the header."""

    address: str
    port: int
    is_trusted: bool


class TrustedProxies:
    """Middleware that writes the client's own address and scheme to the scope.

    ``scope["client"]`` becomes the rightmost hop that is not a trusted proxy, ``scope["scheme"]`` the client's scheme.
    Access log, security log, limits and the check of ``Origin`` read the scope. Both headers of an untrusted peer are
    ignored.

    Args:
        app: The next ASGI application.
        trusted: Addresses and networks.
    """

    def __init__(self, app: ASGIApp, trusted: Iterable[str]) -> None:
        self._app = app
        self._networks: list[IPv4Network | IPv6Network] = [ip_network(text) for text in trusted]
        self._hop = lru_cache(_REMEMBERED)(self._read_hop)
        self._named: set[str] = set()

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Handle one connection, as the ASGI specification says."""
        fields = fields_of(scope)
        forwarded_for = fields.get(b"x-forwarded-for")
        if forwarded_for is not None or b"x-forwarded-proto" in fields:
            self._forwarded(scope, forwarded_for, fields.get(b"x-forwarded-proto"))
        return self._app(scope, receive, send)

    def _forwarded(self, scope: Any, forwarded_for: bytes | None, proto: bytes | None) -> None:
        client = scope.get("client")
        peer = self._hop(client[0]) if client else None
        if peer is None or not peer.is_trusted:
            if forwarded_for is not None and client:
                self._name(client[0])
            return
        entries = [] if forwarded_for is None else forwarded_for.decode("latin-1").split(",")
        place = len(entries)
        for number in range(len(entries) - 1, max(-1, len(entries) - 1 - MAX_HOPS), -1):
            text = entries[number].strip()
            hop = self._hop(text) if len(text) <= _LONGEST_HOP else None
            if hop is None:
                # An unreadable entry: the last known hop is a trusted proxy, or one that it trusts.
                break
            place = number
            scope["client"] = (hop.address, hop.port)
            if not hop.is_trusted:
                break
        if proto is not None:
            self._set_scheme(scope, proto, place, len(entries))

    @staticmethod
    def _set_scheme(scope: Any, proto: bytes, place: int, hops: int) -> None:
        """Set the scheme: the only one, or that of the client's hop if the header has one for each."""
        schemes = proto.decode("latin-1").lower().split(",")
        if len(schemes) == 1:
            scheme = schemes[0].strip()
        elif len(schemes) == hops and place < hops:
            scheme = schemes[place].strip()
        else:
            return
        is_secure = _SECURE.get(scheme)
        if is_secure is not None:
            scope["scheme"] = ("http" if scope["type"] == "http" else "ws") + ("s" if is_secure else "")

    def _read_hop(self, text: str) -> _Hop | None:
        """Parse an entry: an address, in brackets or not, with or without a port; ``None`` if it is anything else."""
        host, port = text, ""
        if text.startswith("["):
            host, _, port = text[1:].partition("]")
            if port and not port.startswith(":"):
                return None
            port = port[1:]
        elif text.count(":") == 1:
            host, _, port = text.partition(":")
        try:
            address = ip_address(host)
        except ValueError:
            return None
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return _Hop(
            str(address),
            int(port) if port.isascii() and port.isdecimal() else 0,
            any(address in network for network in self._networks),
        )

    def _name(self, address: str) -> None:
        """Log once that this sender's header is ignored. If it is a proxy, all its clients look like one."""
        if address not in self._named and len(self._named) < MAX_NAMED:
            self._named.add(address)
            log.warning(
                "undeclared_proxy",
                address=address,
                hint="sends X-Forwarded-For, which is ignored; if it is your proxy, add it to TRUSTED_PROXIES",
            )
