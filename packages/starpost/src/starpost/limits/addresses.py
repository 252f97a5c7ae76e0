"""Rate limit of requests and handshakes without a valid token, by the client's address."""

import time
from array import array
from collections.abc import Callable, Hashable
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Any, Final

from starpost.header_fields import client_address
from starpost.limits.bucket import BURST_SECONDS, EMPTY

SLOTS: Final = 65_536
"""Buckets of one worker, half a megabyte. Addresses share them by hash, so any number of addresses fits."""

REMEMBERED: Final = 1024
"""Addresses whose group is cached. Parsing an IPv6 address takes 5 µs."""


class AddressLimit:
    """Token buckets in a hash table of fixed size.

    The hash of an address selects its bucket. An attack from many addresses empties as many buckets as it sends
    requests for, and shuts out only strangers whose addresses share one. Every stranger is counted. Users with a valid
    token are not affected.

    Args:
        rate: Requests per second of an address, twice that in a burst; 0 means no limit.
        clock: Seconds, monotonic.
    """

    def __init__(self, rate: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate = rate
        self._interval = 1.0 / rate if rate else 0.0
        self._clock = clock
        self._full_at = array("d", bytes(8 * SLOTS))

    def take(self, address: str) -> float:
        """Charge one request. Return 0 if there was room, else the seconds to wait for it."""
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
        """Undo a charge, for a request whose token proved valid."""
        if self._interval:
            self._full_at[_slot(address)] -= self._interval


def address_of(scope: Any) -> str:
    """Return the client's address; empty where the server knows none, as behind a Unix socket."""
    return client_address(scope) or ""


@lru_cache(REMEMBERED)
def group_of(address: str) -> Hashable:
    """Return the unit that shares a bucket: an IPv4 address itself, or the /64 of an IPv6 address.

    A subscriber gets a /64 or more (RFC 6177), and may use a new address of it for each request. An IPv4-mapped address
    counts as its IPv4 address, because all of them are in one /64.
    """
    if ":" not in address:
        return address
    try:
        parsed = IPv6Address(address)
    except ValueError:
        return address
    return str(parsed.ipv4_mapped) if parsed.ipv4_mapped else parsed.packed[:8]


def _slot(address: str) -> int:
    # The interpreter salts hashes of text and bytes, so an attacker cannot aim at a victim's bucket. It does not salt
    # those of numbers.
    return hash(group_of(address)) % SLOTS
