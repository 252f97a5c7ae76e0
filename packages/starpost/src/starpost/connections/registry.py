"""Registry of all workers' connections, as one socket sees it."""

from datetime import datetime
from typing import Protocol

from starpost.auth.principal import Principal
from starpost.errors import RateLimitedError


class TooManyConnectionsError(RateLimitedError):
    """The user has as many connections as are allowed, on all workers together."""

    default_msg = "Too many connections of this user"


class ConnectionRegistry(Protocol):
    """Registry that counts a user's connections on all workers."""

    async def enter(self, connection_id: str, principal: Principal, since: datetime) -> None:
        """Count a connection of its user, until it leaves.

        Raises:
            TooManyConnectionsError: The user has as many connections as are allowed.
            UnavailableError: The connections cannot be counted now.
        """
        ...

    def update(self, connection_id: str, principal: Principal) -> None:
        """Record a connection's new token."""
        ...

    def leave(self, connection_id: str) -> None:
        """Remove a connection. Does nothing for one that is not entered."""
        ...
