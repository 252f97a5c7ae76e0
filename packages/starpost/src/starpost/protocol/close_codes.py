"""Close codes: the number alone tells the client what to do (RFC 6455, section 7.4; 4000-4999 are private use)."""

from dataclasses import dataclass
from enum import IntEnum
from random import randint
from typing import Final


class CloseCode(IntEnum):
    """Close code. The last three digits of codes from 4400 on are those of the HTTP status with the same meaning."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    INVALID_TEXT = 1007
    MESSAGE_TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    TOO_MANY_BAD_FRAMES = 4400
    UNAUTHENTICATED = 4401
    FORBIDDEN = 4403
    TIMEOUT = 4408
    TOO_MANY = 4429


_RECONNECT = frozenset(
    {
        CloseCode.INTERNAL_ERROR,
        CloseCode.SERVICE_RESTART,
        CloseCode.TRY_AGAIN_LATER,
        CloseCode.UNAUTHENTICATED,
        CloseCode.TIMEOUT,
        CloseCode.TOO_MANY,
    }
)


_DELAYED = frozenset({CloseCode.INTERNAL_ERROR, CloseCode.TRY_AGAIN_LATER, CloseCode.TIMEOUT, CloseCode.TOO_MANY})
"""Codes of a server or a client in trouble. A client that reconnects at once makes it worse."""

RECONNECT_DELAY_MS: Final = (1000, 3000)
"""Bounds, in milliseconds, of the delay that such a code carries. Each client gets a random one, which spreads them."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Reason for which the server closes one connection.

    Args:
        code: The close code.
        reason: A word for programs, at most 123 bytes of UTF-8 (RFC 6455, section 5.5).
        after_ms: Milliseconds that the client should wait before it reconnects, jitter included. With 1011, 1013, 4408
            and 4429, at least a random delay within ``RECONNECT_DELAY_MS``.
    """

    code: CloseCode
    reason: str
    after_ms: int = 0

    def __post_init__(self) -> None:
        if self.code in _DELAYED:
            delay = randint(*RECONNECT_DELAY_MS)  # noqa: S311 - jitter, no secret
            object.__setattr__(self, "after_ms", max(self.after_ms, delay))

    @property
    def should_reconnect(self) -> bool:
        """True if the client may reconnect (with a new token, if the code says so)."""
        return self.code in _RECONNECT
