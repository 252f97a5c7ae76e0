"""Rates: of a user over all its sockets and requests, also over all workers; of an address without a valid token.

Everything is decided from memory. No packet and no request waits for Redis, which keeps workers in step behind them.
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
