"""Heartbeat: finds out whether a silent client is still there."""

from enum import Enum, auto


class Judgement(Enum):
    """Action that a silence requires."""

    NOTHING = auto()
    PING = auto()
    LOST = auto()


class Heartbeat:
    """Heartbeat of one client.

    A client that has once sent or answered a PING must answer. Another client may not know PING; it gets PINGs too,
    since they keep proxies and address translation from dropping the connection.

    Args:
        interval: Silence, in seconds, after which the client gets a PING.
        timeout: Seconds for its answer.
    """

    __slots__ = ("_asked_at", "_interval", "_timeout", "knows_ping")

    def __init__(self, interval: float, timeout: float) -> None:
        self._interval = interval
        self._timeout = timeout
        self._asked_at: float | None = None
        self.knows_ping = False

    def judge(self, now: float, last_seen: float) -> Judgement:
        """Return the action that is due. Both times are in seconds, on the same clock."""
        if self._asked_at is not None and last_seen >= self._asked_at:
            self._asked_at = None
        if self._asked_at is None:
            if now - last_seen < self._interval:
                return Judgement.NOTHING
            self._asked_at = now
            return Judgement.PING
        if self.knows_ping:
            return Judgement.LOST if now - self._asked_at >= self._timeout else Judgement.NOTHING
        if now - self._asked_at >= self._interval:
            self._asked_at = now
            return Judgement.PING
        return Judgement.NOTHING
