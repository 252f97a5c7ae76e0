"""The rate of requests and handshakes that bring no valid token, by the client's address."""

import time
from array import array
from collections.abc import Callable, Hashable
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Any, Final

from starpost.header_fields import client_address
from starpost.limits.bucket import BURST_SECONDS, EMPTY

SLOTS: Final = 65_536
"""Buckets of one worker, half a megabyte. Addresses share them by hash, so that no number of addresses needs more."""

REMEMBERED: Final = 1024
"""Addresses whose group is kept; to make one of an IPv6 address takes 5 µs."""


class AddressLimit:
    """Token buckets in a table of fixed size.

    An address has the bucket that its hash names. An attack from many addresses empties as many buckets as it can
    afford requests for, and shuts out only strangers who happen to share one. Nobody is let in uncounted, and users
    with a token are not asked.

    Args:
        rate: Requests per second of an address, twice that in a burst; 0: no limit.
        clock: Seconds, monotonic.
    """

    def __init__(self, rate: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate = rate
        self._interval = 1.0 / rate if rate else 0.0
        self._clock = clock
        self._full_at = array("d", bytes(8 * SLOTS))

    def take(self, address: str) -> float:
        """Charge one request. 0 if there was room, else the seconds after which there is."""
        if not self._interval:
            return 0.0
        now = self._clock()
        slot = _slot(address)
        full_at = max(self._full_at[slot], now) + self._interval
        if full_at - now > EMPTY:
            return full_at - now - BURST_SECONDS
        self._full_at[slot] = full_at
        return 0.0

    def give_back(self, address: str) -> None:
        """Undo a charge: the request has brought a valid token after all."""
        if self._interval:
            self._full_at[_slot(address)] -= self._interval


def address_of(scope: Any) -> str:
    """The client's address in an ASGI scope; empty where the server knows none, as behind a Unix socket."""
    return client_address(scope) or ""


@lru_cache(REMEMBERED)
def group_of(address: str) -> Hashable:
    """Whom an address stands for: an IPv4 address for itself, an IPv6 address for its /64.

    A subscriber gets a whole /64 at least (RFC 6177), and may use a new address of it for each request. An IPv4 address
    that is mapped into IPv6 is that IPv4 address: all of them are in one /64.
    """
    if ":" not in address:
        return address
    try:
        parsed = IPv6Address(address)
    except ValueError:
        return address
    return str(parsed.ipv4_mapped) if parsed.ipv4_mapped else parsed.packed[:8]


def _slot(address: str) -> int:
    # Hashes of text and bytes are salted by the interpreter, so nobody can aim at a victim's bucket; those of numbers
    # are not.
    return hash(group_of(address)) % SLOTS
