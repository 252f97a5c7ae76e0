"""Clock of a connection's token: first a warning, then the end. One timer, no polling."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime

from starpost.packets.system import TokenExpiring


class TokenClock:
    """Clock of a connection's current token.

    Args:
        warning: Seconds before the expiry at which the client is warned.
        warn: Sends the warning.
        expire: Ends the connection.
    """

    __slots__ = ("_expire", "_expires_at", "_may_warn", "_owes_warning", "_timer", "_warn", "_warning")

    def __init__(self, warning: float, warn: Callable[[TokenExpiring], None], expire: Callable[[], None]) -> None:
        self._warning = warning
        self._warn = warn
        self._expire = expire
        self._expires_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._may_warn = False
        self._owes_warning = False

    def watch(self, expires_at: float) -> None:
        """Watch this token in place of the one before.

        Args:
            expires_at: Seconds since the epoch.
        """
        self.stop()
        self._expires_at = expires_at
        self._owes_warning = False
        self._timer = asyncio.get_running_loop().call_later(max(0.0, self._remaining - self._warning), self._is_due)

    def allow_warning(self) -> None:
        """Allow warnings, since the first reply has been sent. A due warning must not come before it."""
        self._may_warn = True
        if self._owes_warning:
            self._owes_warning = False
            self._tell()

    def stop(self) -> None:
        """Stop watching."""
        if self._timer is not None:
            self._timer.cancel()

    def let_go(self) -> None:
        """Stop watching, and hold the connection no longer."""
        self.stop()
        self._timer = None
        del self._warn, self._expire

    @property
    def _remaining(self) -> float:
        return self._expires_at - time.time()

    def _is_due(self) -> None:
        if self._may_warn:
            self._tell()
        else:
            self._owes_warning = True
        self._timer = asyncio.get_running_loop().call_later(max(0.0, self._remaining), self._expire)

    def _tell(self) -> None:
        self._warn(TokenExpiring(datetime.fromtimestamp(self._expires_at, UTC)))
