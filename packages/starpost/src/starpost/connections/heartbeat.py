"""Whether a silent client is still there."""

from enum import Enum, auto


class Judgement(Enum):
    """What the silence asks for now."""

    NOTHING = auto()
    PING = auto()
    LOST = auto()


class Heartbeat:
    """Judges one client's silence.

    A client that has ever sent or answered a PING must say something when it is asked. One that never has, does not
    know PING; it is asked all the same, since that keeps proxies and address translation awake.

    Args:
        interval: Seconds of silence after which it is asked.
        timeout: Seconds it then has.
    """

    __slots__ = ("_asked_at", "_interval", "_timeout", "knows_ping")

    def __init__(self, interval: float, timeout: float) -> None:
        self._interval = interval
        self._timeout = timeout
        self._asked_at: float | None = None
        self.knows_ping = False

    def judge(self, now: float, last_seen: float) -> Judgement:
        """Look at the clock; both times are on the same one, in seconds."""
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
