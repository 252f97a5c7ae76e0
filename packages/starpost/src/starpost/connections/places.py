"""Places of one worker: limits of its sockets, and of those among them that are strangers.

A socket takes a place before its token is verified, so that every admitted client has one. A stranger is a socket
without a token. Strangers have a share of the places; however many come, the rest is for others. A socket with a token
is not a stranger, but keeps its place only as long as its token may be valid.
"""

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

T = TypeVar("T")

GOODBYES: Final = 512
"""Clients without a place that may get CLOSING at the same time. Each can take seconds and needs a file; the launcher
reserves more files than these."""


class Place:
    """Place of one socket."""

    __slots__ = ("_is_given_back", "_is_stranger", "_places")

    def __init__(self, places: "Places", *, is_stranger: bool) -> None:
        self._places = places
        self._is_stranger = is_stranger
        self._is_given_back = False

    def sign_in(self) -> None:
        """Note that the socket is no longer a stranger. May be called again."""
        if self._is_stranger:
            self._is_stranger = False
            self._places.strangers -= 1

    def give_back(self) -> None:
        """Release the place. May be called again."""
        self.sign_in()
        if not self._is_given_back:
            self._is_given_back = True
            self._places.taken -= 1


class Places:
    """Places of one worker.

    Args:
        total: Most sockets of this worker.
        anonymous: Most strangers among them. As many further sockets may wait for Keycloak with an unverified token.
    """

    def __init__(self, *, total: int, anonymous: int) -> None:
        self._total = total
        self._anonymous = anonymous
        self.taken = 0
        self.strangers = 0
        self._judged = 0
        self._turned_away = 0

    def take(self, *, is_stranger: bool) -> Place | None:
        """Return a place for a socket; ``None`` if there is no room."""
        if self.taken >= self._total or (is_stranger and self.strangers >= self._anonymous):
            return None
        self.taken += 1
        self.strangers += is_stranger
        return Place(self, is_stranger=is_stranger)

    async def judge(self, verification: Awaitable[T]) -> T:
        """Wait for the verification of a token, and return its result.

        A token whose key is known is verified without waiting. Another one waits for Keycloak. Anybody can make such a
        token, so only a number of them may wait at once.

        Raises:
            TimeoutError: The token cannot be verified without waiting, and too many wait.
        """
        has_time = self._judged < self._anonymous
        self._judged += 1
        try:
            if has_time:
                return await verification
            # A timeout of 0 fires at the first wait, and never without one.
            async with asyncio.timeout(0):
                return await verification
        finally:
            self._judged -= 1

    @contextmanager
    def goodbye(self) -> Iterator[bool]:
        """Enter this context to say goodbye to a refused client.

        Yields:
            True if there is time for CLOSING; if not, send the close code only.
        """
        self._turned_away += 1
        try:
            yield self._turned_away <= GOODBYES
        finally:
            self._turned_away -= 1
