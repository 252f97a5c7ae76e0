"""Token bucket, kept as one number: the time at which it is full again.

This is the generic cell rate algorithm (ITU-T I.371). Taking tokens moves that time on, and a bucket whose time lies
``BURST_SECONDS`` ahead is empty. No timer fills it, one number is the whole state, and "no limit" is an interval of 0
instead of a special case.
"""

from typing import Final

BURST_SECONDS: Final = 2.0
"""Size of a burst, in seconds of the rate: twice what the rate allows in one second."""

EMPTY: Final = BURST_SECONDS + 1e-6
"""Distance, in seconds, at which a bucket is empty. Sums of intervals have rounding errors, which without the margin
would sometimes refuse the last token of a burst."""


class Bucket:
    """Token bucket.

    Args:
        rate: Tokens per second; 0 means no limit.
    """

    __slots__ = ("full_at", "interval")

    def __init__(self, rate: float) -> None:
        self.interval = 1.0 / rate if rate else 0.0
        """Seconds in which one token comes back."""
        self.full_at = 0.0
        """Time at which all tokens are back, on the caller's clock."""

    def take(self, now: float, cost: float = 1.0) -> float:
        """Take tokens, all or none.

        Args:
            now: Seconds, of a monotonic clock.
            cost: Number of tokens. More than a whole burst can never be taken.

        Returns:
            0 if they were taken, else the seconds until they could be.
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
        """Return the tokens that can be taken now; 0 without a limit, where no caller needs the number."""
        if not self.interval:
            return 0
        # Comparisons instead of `max`, which is a call: every answer to a user contains this number.
        free = EMPTY - (self.full_at - now) if self.full_at > now else EMPTY
        return int(free / self.interval) if free > 0.0 else 0
