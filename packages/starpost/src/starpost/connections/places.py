"""The places of one worker: how many sockets it serves, and how many of them may be strangers.

A socket takes a place before anything is asked about its token, so nobody who is let in finds that there is none. A
stranger is a socket that has brought no token: strangers have a share, and however many come, the rest is for others.
Whoever brings a token is no stranger, but has a place of its own only as long as its token may be good.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

GOODBYES: Final = 512
"""Clients without a place that may listen to a goodbye at once. It takes each of them seconds, if it wants, and a file:
these are fewer than the launcher asks for beside those of the places."""


class Place:
    """The place of one socket."""

    __slots__ = ("_is_given_back", "_is_stranger", "_places")

    def __init__(self, places: "Places", *, is_stranger: bool) -> None:
        self._places = places
        self._is_stranger = is_stranger
        self._is_given_back = False

    def sign_in(self) -> None:
        """It is no stranger's any more. Again does no harm."""
        if self._is_stranger:
            self._is_stranger = False
            self._places.strangers -= 1

    def give_back(self) -> None:
        """Another may have it. Again does no harm."""
        self.sign_in()
        if not self._is_given_back:
            self._is_given_back = True
            self._places.taken -= 1


class Places:
    """Counts the places that are taken.

    Args:
        total: Sockets of this worker.
        anonymous: How many of them may be strangers. As many may wait for Keycloak with a token that nobody could judge
            yet.
    """

    def __init__(self, *, total: int, anonymous: int) -> None:
        self._total = total
        self._anonymous = anonymous
        self.taken = 0
        self.strangers = 0
        self._judged = 0
        self._turned_away = 0

    def take(self, *, is_stranger: bool) -> Place | None:
        """A place, if there is one for such a socket."""
        if self.taken >= self._total or (is_stranger and self.strangers >= self._anonymous):
            return None
        self.taken += 1
        self.strangers += is_stranger
        return Place(self, is_stranger=is_stranger)

    @asynccontextmanager
    async def judging(self) -> AsyncIterator[None]:
        """Around what judges a token.

        A token whose key is known is judged without waiting, always. Another one waits for Keycloak: anybody can write
        one, so only some may wait at once.

        Raises:
            TimeoutError: The token cannot be judged without waiting, and too many wait.
        """
        # A timeout of 0 comes at the first wait, and never to what does not wait.
        limit = None if self._judged < self._anonymous else 0
        self._judged += 1
        try:
            async with asyncio.timeout(limit):
                yield
        finally:
            self._judged -= 1

    @contextmanager
    def goodbye(self) -> Iterator[bool]:
        """Around the goodbye to a client that was turned away.

        Yields:
            Whether there is time for one; if not, the close code has to do.
        """
        self._turned_away += 1
        try:
            yield self._turned_away <= GOODBYES
        finally:
            self._turned_away -= 1
