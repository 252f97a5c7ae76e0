"""Security events of one worker: one line each, bounded under attack.

    security = SecurityLog(metrics.security_event)
    security.record("denied", reason="permission_denied", user="alice", address="192.0.2.7", pkg_id=5)

An attacker decides how many of these events occur. So each second has room for a number of lines of each kind, and for
fewer from each address: a flood from one address hides neither other addresses nor another kind of event. Further
events are counted: in the metric, which counts all events, and in a summary line when the second is over.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, Literal

import structlog

Event = Literal[
    "connected", "disconnected", "handshake_refused", "auth_refused", "denied", "revoked", "rate_limited"
]  # fmt: skip

WINDOW: Final = 1.0
"""Length of a window, in seconds."""

LINES_PER_EVENT: Final = 100
"""Lines of one kind of event in each window."""

LINES_PER_ADDRESS: Final = 10
"""Lines of one kind of event and one address in each window."""

SHOWN_ADDRESSES: Final = 5
"""Addresses that the summary line names: those with the most events left out."""

COUNTED_ADDRESSES: Final = 1000
"""Addresses that are counted separately while events of one kind are left out. The others count as one."""

_OTHERS: Final = "(others)"
_USUAL: Final = frozenset({"connected", "disconnected"})


class SecurityLog:
    """Bounded log of security events.

    Args:
        count: Called with the kind of each event, whether it is written or left out.
    """

    def __init__(self, count: Callable[[str], None]) -> None:
        self._count = count
        self._log = structlog.get_logger("security")
        self._written: Counter[tuple[Event, str | None]] = Counter()
        self._left_out: dict[Event, Counter[str]] = {}
        self._window_ends = 0.0

    def record(
        self,
        event: Event,
        *,
        reason: str | None = None,
        user: str | None = None,
        address: str | None = None,
        connection: str | None = None,
        **details: str | float | None,
    ) -> None:
        """Write one event, or count it.

        Args:
            event: Its kind.
            reason: The code of the refusal or of the end.
            user: Name of the user, if known.
            address: Address of the client, as trusted proxies report it.
            connection: Id of the socket.
            details: Further fields of the line. Never text that a client sent.
        """
        self._count(event)
        loop = asyncio.get_running_loop()
        if loop.time() >= self._window_ends:
            self._open_window(loop)
        if self._has_room(event, address):
            self._written[event, None] += 1
            self._written[event, address or ""] += 1
            fields: dict[str, Any] = {"reason": reason, "user": user, "address": address, "connection": connection}
            write = self._log.info if event in _USUAL else self._log.warning
            write(event, **fields, **details)
            return
        if not self._left_out:
            loop.call_at(self._window_ends, self.flush)
        left_out = self._left_out.get(event)
        if left_out is None:
            # Not by `setdefault`: making a counter takes longer than all else that is done for an event left out.
            left_out = self._left_out[event] = Counter()
        is_told_apart = address in left_out or len(left_out) < COUNTED_ADDRESSES
        left_out[(address or "") if is_told_apart else _OTHERS] += 1

    def flush(self) -> None:
        """Write the counts of the events that were left out."""
        left_out, self._left_out = self._left_out, {}
        for event, addresses in left_out.items():
            most = dict(addresses.most_common(SHOWN_ADDRESSES))
            self._log.warning(
                "security_events_left_out", of=event, count=addresses.total(), addresses=len(addresses), most=most
            )

    def _open_window(self, loop: asyncio.AbstractEventLoop) -> None:
        self.flush()
        self._written.clear()
        self._window_ends = loop.time() + WINDOW

    def _has_room(self, event: Event, address: str | None) -> bool:
        written = self._written
        return written[event, None] < LINES_PER_EVENT and written[event, address or ""] < LINES_PER_ADDRESS
