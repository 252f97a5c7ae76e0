"""Numbers of the framework's own packets (section 3 of the wire contract)."""

from enum import IntEnum
from typing import Final


class SystemPacket(IntEnum):
    """Number of a system packet: negative, so that it never collides with an application's."""

    PING = -1
    AUTH = -2
    SUBSCRIBE = -3
    UNSUBSCRIBE = -4
    CANCEL = -5
    CLOSING = -6
    GAP = -7
    TOKEN_EXPIRING = -8
    PRESENCE = -9


SERVER_SENT: Final = frozenset(map(int, (SystemPacket.CLOSING, SystemPacket.GAP, SystemPacket.TOKEN_EXPIRING)))
"""Numbers that only the server sends."""
