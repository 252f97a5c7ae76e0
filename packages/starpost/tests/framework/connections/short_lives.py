"""Connections whose token expires soon."""

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from math import ceil

from websockets.exceptions import ConnectionClosed

SHORT, LONGER, LONGEST = 2, 7, 20
"""Seconds that a token lives. Less than a packet may run."""


class TooLateError(Exception):
    """The token had expired before the test came to its subject."""


async def in_a_short_life(test: Callable[[int], Awaitable[None]]) -> None:
    """Run a test with the time at which its token expires; again, with a longer life, where it was too slow.

    A test that is too slow is closed before its subject: it raises ``ConnectionClosed``, or ``TooLateError``.
    """
    for lifetime in (SHORT, LONGER):
        with suppress(ConnectionClosed, TooLateError):
            return await test(ceil(time.time()) + lifetime)
    return await test(ceil(time.time()) + LONGEST)
