"""What one client may, and the rate of its packets."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

STRANGER_MAX_BYTES: Final = 32_768
"""Size of a frame before AUTH: room for AUTH with the longest token that is looked at, twice."""

STRANGER_BUDGET: Final = 2 * STRANGER_MAX_BYTES
"""Bytes that may come before AUTH in all, as the kernel counts them: complete frames, and whatever is none yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """What one client may; see the settings of the same names."""

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


class RateLimit:
    """A token bucket.

    Args:
        rate: Packets per second; 0 means no limit. Twice that may come in a burst.
        clock: Seconds, monotonic. Asked for every frame: the event loop's own costs no more than an attribute.
    """

    __slots__ = ("_budget", "_burst", "_clock", "_filled_at", "_rate", "refused_in_a_row")

    def __init__(self, rate: int, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._burst = 2.0 * rate if rate else float("inf")
        self._budget = self._burst
        self._clock = clock
        self._filled_at = clock()
        self.refused_in_a_row = 0

    def take(self, count: int = 1) -> bool:
        """Take room for so many packets, if there is room for all of them; else nothing is taken."""
        now = self._clock()
        budget = self._budget + (now - self._filled_at) * self._rate
        if budget > self._burst:
            budget = self._burst
        self._filled_at = now
        if budget < count:
            self._budget = budget
            return False
        self._budget = budget - count
        self.refused_in_a_row = 0
        return True

    def retry_after(self) -> float:
        """Take room for one packet. 0 if there was, else the seconds after which there is again."""
        if self.take():
            return 0.0
        self.refused_in_a_row += 1
        return round((1.0 - self._budget) / self._rate, 3)
