"""Back-off of a loop that tries until it succeeds, or for as long as its worker lives.

    backoff = Backoff()
    while True:
        try:
            await renew()
        except REDIS_FAULTS as error:
            log.warning("not_renewed", cause=repr(error))
            await backoff.pause()
        else:
            backoff.reset()

Each pause is twice as long as the one before, up to a limit, with "equal jitter": half is fixed and half is random, so
that workers do not come back all at once. Retry libraries such as stamina wrap one call that gives up in the end; these
loops have state, readiness and log lines of their own. redis-py's ``EqualJitterBackoff`` draws the same pauses, and
overflows after a thousand failures: an outage of 90 minutes.
"""

import asyncio
from random import uniform
from typing import Final

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
"""Seconds. What waits for Redis must be back soon after it is; a try costs one command."""

_LARGEST_EXPONENT: Final = 20
"""A float holds no power of two beyond 1023; by this one every limit is reached."""


class Backoff:
    """Number of failures in a row, and the pauses that follow from it.

    Args:
        first: Upper bound of the first pause, in seconds.
        longest: Upper bound of every pause, in seconds.
    """

    __slots__ = ("_first", "_longest", "failures")

    def __init__(self, first: float = FIRST_PAUSE, longest: float = LONGEST_PAUSE) -> None:
        self.failures = 0
        self._first = first
        self._longest = longest

    @property
    def bound(self) -> float:
        """Upper bound, in seconds, of the pause after the next failure."""
        return min(self._longest, self._first * 2.0 ** min(self.failures, _LARGEST_EXPONENT))

    def fail(self) -> float:
        """Count a failure, and return the seconds to wait before the next try."""
        seconds = uniform(0.5, 1.0) * self.bound  # noqa: S311 - jitter, no secret
        self.failures += 1
        return seconds

    async def pause(self) -> None:
        """Count a failure, and wait."""
        await asyncio.sleep(self.fail())

    def reset(self) -> None:
        """Begin anew after a success."""
        self.failures = 0
