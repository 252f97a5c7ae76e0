"""Rate limits: of a user over all sockets and requests, also over all workers; of an address without a valid token.

Each limit is a token bucket. ``take`` returns 0 if there was room, else the seconds to wait:

    >>> from starpost.limits import Bucket
    >>> bucket = Bucket(rate=1)
    >>> [bucket.take(now=100.0) for _ in range(3)]
    [0.0, 0.0, 1.0]

``UserBudgets`` has one bucket per user, which sockets and requests share; ``AddressLimit`` has a table of fixed size
for strangers; ``RequestLimits`` charges HTTP requests and handshakes to either.

Every decision is made from memory. No packet and no request waits for Redis, where the workers balance a user's budget
in the background.
"""

from starpost.limits.addresses import AddressLimit
from starpost.limits.bucket import BURST_SECONDS, Bucket
from starpost.limits.requests import RequestLimits
from starpost.limits.shared import SharedLimit
from starpost.limits.users import UserBudget, UserBudgets

__all__ = [
    "BURST_SECONDS",
    "AddressLimit",
    "Bucket",
    "RequestLimits",
    "SharedLimit",
    "UserBudget",
    "UserBudgets",
]
