"""Rates: of a user over all its sockets and requests, also over all workers; of an address without a valid token.

Everything is decided from memory. No packet and no request waits for Redis, which keeps workers in step behind them.
"""

from app.framework.limits.addresses import AddressLimit
from app.framework.limits.bucket import BURST_SECONDS, Bucket
from app.framework.limits.requests import RequestLimits
from app.framework.limits.shared import SharedLimit
from app.framework.limits.users import UserBudget, UserBudgets

__all__ = [
    "BURST_SECONDS",
    "AddressLimit",
    "Bucket",
    "RequestLimits",
    "SharedLimit",
    "UserBudget",
    "UserBudgets",
]
