"""Budgets of users, which sockets and HTTP requests share."""

import time
from collections.abc import Callable
from typing import Final

from starpost.limits.bucket import Bucket
from starpost.limits.shared import Share, SharedLimit

FORGET_ABOVE: Final = 1024
"""Number of budgets from which on full ones are looked for and dropped."""


class UserBudget(Bucket):
    """Budget of one user on this worker, together with its share of the budget on all workers."""

    __slots__ = ("holders", "share")

    def __init__(self, rate: int, share: Share | None) -> None:
        super().__init__(rate)
        self.share = share
        self.holders = 0
        """Open sockets of the user."""

    @property
    def pace(self) -> float:
        """Seconds in which a token comes back in the slower of the two; 0 means no limit."""
        return self.interval if self.share is None else max(self.interval, self.share.interval)

    def take(self, now: float, cost: float = 1.0) -> float:
        """Take tokens from both, or from neither."""
        full_at = self.full_at
        # `Bucket.take` by name: `super()` looks the method up at each call, which takes a third of its time.
        wait = Bucket.take(self, now, cost)
        if wait or self.share is None:
            return wait
        wait = self.share.take(now, cost)
        if wait:
            self.full_at = full_at
        return wait

    def left(self, now: float) -> int:
        """Return the tokens that both have."""
        if self.share is None:
            return Bucket.left(self, now)
        return min(Bucket.left(self, now), self.share.left(now)) if self.interval else self.share.left(now)

    def is_full(self, now: float) -> bool:
        """Return whether all tokens of both are there."""
        return self.full_at <= now and (self.share is None or self.share.full_at <= now)


class UserBudgets:
    """Budgets of one worker, by the token's ``sub``.

    A budget is kept while a socket holds it, and until it is full again, so that reconnecting does not refill it. It
    takes some 200 bytes. Full ones are dropped when the number of budgets has doubled.

    Args:
        rate: ``USER_RATE_LIMIT``; 0 means no limit.
        shared: The limit over all workers (``USER_RATE_LIMIT_SHARED``); ``None`` without one.
        clock: Seconds, monotonic.
    """

    def __init__(
        self, rate: int, shared: SharedLimit | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.rate = rate
        self.shared = shared
        self.clock = clock
        self._budgets: dict[str, UserBudget] = {}
        self._forget_at = FORGET_ABOVE

    def __len__(self) -> int:
        return len(self._budgets)

    def of(self, user_id: str) -> UserBudget:
        """Return the budget of a user."""
        budget = self._budgets.get(user_id)
        if budget is None:
            if len(self._budgets) >= self._forget_at:
                self._forget()
            share = None if self.shared is None else self.shared.share_of(user_id)
            budget = self._budgets[user_id] = UserBudget(self.rate, share)
        return budget

    def _forget(self) -> None:
        now = self.clock()
        self._budgets = {
            user_id: budget for user_id, budget in self._budgets.items() if budget.holders or not budget.is_full(now)
        }
        self._forget_at = max(FORGET_ABOVE, 2 * len(self._budgets))
