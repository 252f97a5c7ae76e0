"""The registry of all workers' connections, as far as one socket sees it."""

from datetime import datetime
from typing import Protocol

from starpost.auth.principal import Principal
from starpost.errors import RateLimitedError


class TooManyConnectionsError(RateLimitedError):
    """The user has as many connections as one may have, on all workers together."""

    default_msg = "Too many connections of this user"


class ConnectionRegistry(Protocol):
    """Counts a user's connections on all workers."""

    async def enter(self, connection_id: str, principal: Principal, since: datetime) -> None:
        """Count a connection among its user's, until it leaves.

        Raises:
            TooManyConnectionsError: The user has as many as one may have.
            UnavailableError: The connections cannot be counted now.
        """
        ...

    def update(self, connection_id: str, principal: Principal) -> None:
        """Note that a connection's token was replaced."""
        ...

    def leave(self, connection_id: str) -> None:
        """Take a connection out; one that is not in does no harm."""
        ...
