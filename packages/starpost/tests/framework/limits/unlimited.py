from typing import Any

from starpost.limits import AddressLimit, RequestLimits, UserBudgets


def no_limits() -> RequestLimits:
    """For middleware whose limits are not what is tested."""

    async def refuse(*_: Any) -> None:
        raise AssertionError("refused, although there is no limit")

    return RequestLimits(UserBudgets(0), AddressLimit(0), refuse=refuse, on_refusal=lambda _: None)
