"""Limits of one client, and the rate of its packets."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from starpost.limits import UserBudget
from starpost.limits.bucket import BURST_SECONDS, EMPTY

UNIT: Final = 4096
"""Characters or bytes of a frame that count as one packet. Decoding as much takes 15 to 70 µs, as a packet does."""

STRANGER_MAX_BYTES: Final = 32_768
"""Largest frame before AUTH: room for AUTH with twice the longest accepted token."""

STRANGER_BUDGET: Final = 2 * STRANGER_MAX_BYTES
"""Bytes that may arrive before AUTH in all, as the kernel counts them: complete and incomplete frames."""

HEAVIEST_REFUSAL: Final = 0.25
"""Most that one refusal counts, in seconds, of the one second for which a client may go on after refusals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """Limits of one client; see the settings of the same names."""

    max_message_bytes: int
    max_batch: int
    max_bad_frames: int
    max_parallel: int
    max_timeout: float
    auth_timeout: float
    heartbeat: float
    heartbeat_timeout: float
    token_warning: float
    rate_limit: int
    send_timeout: float
    outbox_messages: int
    outbox_bytes: int


class PacketRate:
    """Rate of one socket's packets, charged to the socket and, once it is known, to its user.

    Args:
        rate: ``WS_RATE_LIMIT``: packets per second of the socket, twice that in a burst; 0 means no limit.
        clock: Seconds, monotonic; the clock of the users' budgets. Called for every frame.
    """

    __slots__ = ("_clock", "_deaf_at", "_full_at", "_interval", "_user")

    def __init__(self, rate: int, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._interval = 1.0 / rate if rate else 0.0
        self._full_at = 0.0
        self._user: UserBudget | None = None
        self._deaf_at = 0.0

    @property
    def burst(self) -> int:
        """Return the most packets that there can be room for. A larger frame is charged as this many."""
        pace = self._pace
        return int(EMPTY / pace) if pace else sys.maxsize

    def belong_to(self, budget: UserBudget | None) -> None:
        """Charge this user, too, from now on; ``None`` charges no user. The budget counts its holders."""
        if self._user is not None:
            self._user.holders -= 1
        if budget is not None:
            budget.holders += 1
        self._user = budget

    def take(self, cost: float = 1.0) -> float:
        """Charge packets, all or none.

        Returns:
            0 if there was room, else the seconds to wait for it.
        """
        # Two buckets (see ``Bucket``) in one function, so that a packet is charged for no more than one cost.
        now = self._clock()
        latest = now + EMPTY
        full_at = self._full_at
        if full_at < now:
            full_at = now
        full_at += cost * self._interval
        user = self._user
        if user is None:
            if full_at > latest:
                return full_at - now - BURST_SECONDS
        else:
            users = user.full_at
            if users < now:
                users = now
            users += cost * user.interval
            if full_at > latest or users > latest:
                return max(full_at, users) - now - BURST_SECONDS
            if user.share is not None and (wait := user.share.take(now, cost)):
                return wait
            user.full_at = users
        self._full_at = full_at
        return 0.0

    def is_deaf(self, cost: int = 1) -> bool:
        """Count a refusal, and return whether the client ignores refusals.

        A client that respects ``retry_after`` is refused now and then. A client that is refused more packets than the
        rate allows, by a second's worth, gets no more answers. One refusal counts for a quarter of that at most.
        """
        now = self._clock()
        self._deaf_at = max(self._deaf_at, now) + min(cost * self._pace, HEAVIEST_REFUSAL)
        return self._deaf_at - now > 1.0 - 1e-6

    @property
    def _pace(self) -> float:
        """Seconds in which room for one packet comes back in the slower of the buckets; 0 means no limit."""
        return self._interval if self._user is None else max(self._interval, self._user.pace)


def cost_of(frame: str | bytes) -> int:
    """Return the packets that a frame counts as, by its size: one for each ``UNIT`` begun."""
    return 1 if len(frame) <= UNIT else -(-len(frame) // UNIT)
