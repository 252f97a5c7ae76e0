"""A token bucket, kept as one number: the time at which it is full again.

This is the generic cell rate algorithm (ITU-T I.371): taking tokens moves that time on, and a bucket whose time lies
``BURST_SECONDS`` ahead is empty. Nothing has to be filled, one number is the whole state, and "no limit" is an interval
of 0 and not a case of its own.
"""

from typing import Final

BURST_SECONDS: Final = 2.0
"""What may come in a burst, in seconds of the rate: twice of what the rate allows in one."""

EMPTY: Final = BURST_SECONDS + 1e-6
"""How far ahead the time may lie, in seconds. Sums of intervals are off by a little; without the margin the last token
of a burst is sometimes refused."""


class Bucket:
    """Tokens that come back at a rate.

    Args:
        rate: Tokens per second; 0: no limit.
    """

    __slots__ = ("full_at", "interval")

    def __init__(self, rate: float) -> None:
        self.interval = 1.0 / rate if rate else 0.0
        """Seconds in which one token comes back."""
        self.full_at = 0.0
        """When all tokens are back; in the past, they are."""

    def take(self, now: float, cost: float = 1.0) -> float:
        """Take tokens, all or none.

        Args:
            now: Seconds, of a monotonic clock.
            cost: How many tokens. More than a whole burst is never there.

        Returns:
            0 if they were taken, else the seconds after which they are there.
        """
        full_at = self.full_at
        if full_at < now:
            full_at = now
        full_at += cost * self.interval
        if full_at - now > EMPTY:
            return full_at - now - BURST_SECONDS
        self.full_at = full_at
        return 0.0

    def left(self, now: float) -> int:
        """Tokens that can be taken now; 0 where there is no limit, which nobody asks about."""
        if not self.interval:
            return 0
        # Comparisons and not `max`, which is a call: every answer to a user says this number.
        free = EMPTY - (self.full_at - now) if self.full_at > now else EMPTY
        return int(free / self.interval) if free > 0.0 else 0
