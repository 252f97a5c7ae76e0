"""Rate limits of HTTP requests and handshakes, and the headers that report them.

The headers are those of draft-ietf-httpapi-ratelimit-headers-10: ``RateLimit-Policy: "user";q=2000;w=2`` names the
burst and the seconds in which it comes back, ``RateLimit: "user";r=1998`` the rest of it. Answers to a user carry them,
so that a program can slow down before it is refused. A 429 always carries them, with ``t``, the seconds to wait.
"""

import math
from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal

from litestar.types import Scope, Send

from starpost.errors import AppError, RateLimitedError
from starpost.header_fields import ANSWER_FIELDS
from starpost.limits.addresses import AddressLimit, address_of
from starpost.limits.bucket import BURST_SECONDS
from starpost.limits.users import UserBudgets

Refuse = Callable[[Scope, Send, AppError], Awaitable[None]]
"""Answers a request, or a handshake that was not accepted, with an error's problem document."""

Field = tuple[bytes, bytes]

UNLIMITED: Final = "/health/"
"""Prefix of paths that no address is charged for. A balancer that forwards requests under its own address would take a
node for dead when one client floods it. Answering them costs no more than refusing them."""

_PAID: Final = "address_paid"


class RequestLimits:
    """Rate limits of requests and handshakes.

    A request whose token was not verified before is charged to its address first. The charge is undone when the token
    proves valid. So a flood of bad tokens is refused before anybody spends time on verifying them.

    Args:
        users: Budgets of users.
        addresses: Budgets of strangers.
        refuse: Sends the answer to a refused request.
        on_refusal: Called with ``user`` or ``address`` for each refused request.
    """

    def __init__(
        self,
        users: UserBudgets,
        addresses: AddressLimit,
        *,
        refuse: Refuse,
        on_refusal: Callable[[Literal["user", "address"]], None],
    ) -> None:
        self.users = users
        self._addresses = addresses
        self._refuse = refuse
        self._on_refusal = on_refusal
        limits = {"user": users.rate, "user-shared": 0 if users.shared is None else users.shared.rate}
        self._user_policy = _policy(limits)
        self._address_policy = _policy({"address": addresses.rate})

    def charge_address(self, scope: Any, send: Send) -> Awaitable[None] | None:
        """Charge a request or a handshake without a token that was verified before to its address.

        Returns:
            The refusal, to be awaited in place of the application; ``None`` if there was room.
        """
        if scope["path"].startswith(UNLIMITED):
            return None
        address = address_of(scope)
        wait = self._addresses.take(address)
        if not wait:
            scope[_PAID] = address
            return None
        self._on_refusal("address")
        return self._answer(scope, send, self._address_policy, "address", wait)

    def give_back(self, scope: Any) -> None:
        """Undo the charge of a request that has proved to be a user's."""
        address = scope.pop(_PAID, None)
        if address is not None:
            self._addresses.give_back(address)

    def charge_user(self, scope: Any, send: Send, user_id: str) -> Awaitable[None] | None:
        """Charge a request to its user.

        Returns:
            The refusal, to be awaited in place of the application; ``None`` if there was room.
        """
        budget = self.users.of(user_id)
        wait = budget.take(self.users.clock())
        if wait:
            self._on_refusal("user")
            return self._answer(scope, send, self._user_policy, "user", wait)
        if self._user_policy is not None:
            scope[ANSWER_FIELDS] = lambda: (
                self._user_policy,
                (b"ratelimit", b'"user";r=%d' % budget.left(self.users.clock())),
            )
        return None

    def _answer(self, scope: Any, send: Send, policy: Field | None, name: str, wait: float) -> Awaitable[None]:
        limit = f'"{name}";r=0;t={max(1, math.ceil(wait))}'.encode()
        scope[ANSWER_FIELDS] = lambda: (policy, (b"ratelimit", limit))
        return self._refuse(scope, send, RateLimitedError(retry_after=round(wait, 3)))


def _policy(rates: dict[str, int]) -> Field | None:
    """Return the header ``RateLimit-Policy``; ``None`` without a limit."""
    policies = [
        f'"{name}";q={math.ceil(BURST_SECONDS * rate)};w={math.ceil(BURST_SECONDS)}'
        for name, rate in rates.items()
        if rate
    ]
    return (b"ratelimit-policy", ", ".join(policies).encode()) if policies else None
