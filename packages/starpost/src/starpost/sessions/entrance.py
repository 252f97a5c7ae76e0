"""Entrance to the registry: connections that come together are entered by one call.

The first one begins a call at the end of the loop's turn. Those that come while it is under way share the next call, so
under load a round trip serves many handshakes, and without load none waits for another.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from redis.exceptions import RedisError

from starpost.redis import REDIS_AWAY


class Entrant:
    """A connection that is to be entered."""

    __slots__ = ("connection_id", "entry", "is_in", "user_id")

    def __init__(self, user_id: str, connection_id: str, entry: bytes) -> None:
        self.user_id = user_id
        self.connection_id = connection_id
        self.entry = entry
        self.is_in: asyncio.Future[bool] = asyncio.get_running_loop().create_future()


class Entrance:
    """Queues of entrants, one for each place of the registry that answers for itself.

    Args:
        enter: Enters some of one place; returns, for each, whether the user had room for it.
        forget: Called with an entrant that may have been entered although nobody waits for it any more.
        size: Largest number of entrants in one call.
    """

    def __init__(
        self,
        enter: Callable[[Sequence[Entrant]], Awaitable[Sequence[bool]]],
        forget: Callable[[Entrant], None],
        *,
        size: int,
    ) -> None:
        self._enter = enter
        self._forget = forget
        self._size = size
        self._waiting: dict[str, list[Entrant]] = {}
        """Entrants by place, where a call is under way or about to begin."""
        self._calls: set[asyncio.Task[None]] = set()

    async def pass_through(self, entrant: Entrant, place: str) -> bool:
        """Enter a connection; return whether its user had room for it.

        Raises:
            TimeoutError: The call took too long, be it this one or the one before it.
            Exception: Any other error of the call.
        """
        waiting = self._waiting.get(place)
        if waiting is None:
            waiting = self._waiting[place] = []
            # The loop holds tasks weakly.
            call = asyncio.create_task(self._serve(place, waiting))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)
        waiting.append(entrant)
        try:
            return await entrant.is_in
        except asyncio.CancelledError:
            # If the future is cancelled, `_enter_together` sees it. Else the answer came in the same turn.
            if not entrant.is_in.cancelled():
                self._forget(entrant)
            raise

    async def _serve(self, place: str, waiting: list[Entrant]) -> None:
        try:
            while waiting:
                together = [entrant for entrant in waiting[: self._size] if not entrant.is_in.cancelled()]
                del waiting[: self._size]
                if together and not await self._enter_together(together):
                    # They have waited for as long, for an answer of the same place.
                    _fail(waiting, TimeoutError())
                    waiting.clear()
        finally:
            del self._waiting[place]

    async def _enter_together(self, together: Sequence[Entrant]) -> bool:
        """Make one call; return False if it took too long."""
        try:
            answers = await self._enter(together)
        except Exception as error:  # noqa: BLE001 - raised where each of them waits
            if len(together) > 1 and isinstance(error, RedisError) and not isinstance(error, REDIS_AWAY):
                # Redis refuses the call, perhaps for one user's keys: the others must not suffer for it.
                return all([await self._enter_together([entrant]) for entrant in together])
            for entrant in together:
                self._forget(entrant)
            _fail(together, error)
            return not isinstance(error, TimeoutError)
        for entrant, is_in in zip(together, answers, strict=True):
            if entrant.is_in.cancelled():
                self._forget(entrant)
            else:
                entrant.is_in.set_result(is_in)
        return True


def _fail(entrants: Sequence[Entrant], error: Exception) -> None:
    for entrant in entrants:
        if not entrant.is_in.cancelled():
            entrant.is_in.set_exception(error)
