"""The connections of one worker, and their common pulse.

One task looks after all of them: a packet's deadline, a client that reads too slowly, a heartbeat that stays away.
So a packet costs no timer and an idle connection no task. Times are kept to one tick.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from math import ceil
from random import uniform
from typing import TYPE_CHECKING, Final

import structlog

from starpost.auth.principal import Principal
from starpost.connections.received import ReceivedBytes
from starpost.protocol.close_codes import CloseCode, Verdict

if TYPE_CHECKING:
    # The two know each other; only the types of one are needed here.
    from starpost.connections.connection import Connection

TICK: Final = 0.05
"""Seconds between two looks at the busy connections."""

STRANGER_LOOK: Final = 0.2
"""Seconds between two looks at what strangers have sent. Each costs 6 µs per stranger; what comes meanwhile is held."""

CLOSE_TIMEOUT: Final = 2.0
"""Seconds for what a connection still has to say when it closes; a client that does not read must not hold it."""

BATCH_INTERVAL: Final = 0.1
"""Seconds between two batches of a drain."""

SMALLEST_BATCH: Final = 25
"""Connections. A few clients need no spreading, and a deploy need not wait for them."""

log = structlog.get_logger(__name__)


class ConnectionHub:
    """This worker's connections, by id, by user and by Keycloak session."""

    def __init__(self, *, heartbeat: float, heartbeat_timeout: float) -> None:
        self.connections: dict[str, Connection] = {}
        self.busy: set[Connection] = set()
        self.received = ReceivedBytes()
        self._strangers: set[Connection] = set()
        self.now = 0.0
        """The loop's time at the last tick: a coarse clock that costs an attribute."""
        self._users: defaultdict[str, set[Connection]] = defaultdict(set)
        self._sessions: defaultdict[str, set[Connection]] = defaultdict(set)
        self._sweep_interval = max(TICK, min(1.0, heartbeat / 4, heartbeat_timeout / 4))
        self._pulse: asyncio.Task[None] | None = None
        self._emptied = asyncio.Event()
        self._emptied.set()
        self.is_draining = False
        self._restart_spread = 0.0
        self.on_user_came: Callable[[Principal], None] | None = None
        self.on_user_left: Callable[[str], None] | None = None

    def clock(self) -> float:
        """``now``, as a function."""
        return self.now

    async def start(self) -> None:
        """Start the pulse."""
        self.now = asyncio.get_running_loop().time()
        self.received.open()
        self._pulse = asyncio.create_task(self._beat(), name="connections-pulse")

    async def stop(self) -> None:
        """Stop the pulse; the connections must be gone."""
        if self._pulse is not None:
            self._pulse.cancel()
            await asyncio.gather(self._pulse, return_exceptions=True)
        self.received.close()

    def add(self, connection: "Connection") -> None:
        """Know a connection, authenticated or not."""
        self.connections[connection.id] = connection
        if connection.principal is None:
            self._strangers.add(connection)
        self._emptied.clear()

    def identify(self, connection: "Connection") -> None:
        """Know whose connection it is; again after each change of its token."""
        principal = connection.principal
        if principal is None:
            return
        self._strangers.discard(connection)
        self._users[principal.user_id].add(connection)
        if connection.session_id is not None and connection.session_id != principal.session_id:
            _discard(self._sessions, connection.session_id, connection)
        if principal.session_id is not None:
            self._sessions[principal.session_id].add(connection)
        if self.on_user_came is not None:
            self.on_user_came(principal)

    def remove(self, connection: "Connection") -> None:
        """Forget a connection."""
        self.connections.pop(connection.id, None)
        self.busy.discard(connection)
        self._strangers.discard(connection)
        if connection.principal is not None:
            user_id = connection.principal.user_id
            _discard(self._users, user_id, connection)
            if user_id not in self._users and self.on_user_left is not None:
                self.on_user_left(user_id)
        if connection.session_id is not None:
            _discard(self._sessions, connection.session_id, connection)
        if not self.connections:
            self._emptied.set()

    def waiting_frames(self) -> int:
        """Frames that wait in all outboxes."""
        return sum(connection.outbox.depth for connection in self.connections.values())

    def of_user(self, user_id: str) -> frozenset["Connection"]:
        """The connections of one user, by ``sub``."""
        return frozenset(self._users.get(user_id, ()))

    def of_session(self, session_id: str) -> frozenset["Connection"]:
        """The connections of one Keycloak session, by ``sid``."""
        return frozenset(self._sessions.get(session_id, ()))

    async def drain(self, *, spread: float, grace: float) -> bool:
        """Close every connection with 1012: in batches, so that they do not all come back at once.

        New connections are turned away from now on. Those whose turn has not come are served as before.

        Args:
            spread: Seconds from the first batch to the last.
            grace: Seconds a running packet may go on after its connection's turn.

        Returns:
            Whether all are gone; that takes ``spread + grace + CLOSE_TIMEOUT`` seconds at most.
        """
        self._restart_spread = spread
        self.is_draining = True
        loop = asyncio.get_running_loop()
        last_turn = loop.time() + spread
        # Beyond the packets' grace: the time for the goodbyes.
        try:
            async with asyncio.timeout_at(last_turn + grace + CLOSE_TIMEOUT):
                while self.connections:
                    turns_left = max(0.0, last_turn - loop.time()) / BATCH_INTERVAL
                    # Looked at anew each time: a handshake that had begun before may have added one.
                    open_ones = [connection for connection in self.connections.values() if connection.verdict is None]
                    size = max(SMALLEST_BATCH, ceil(len(open_ones) / (turns_left + 1)))
                    for connection in open_ones[:size]:
                        connection.stop(self.restart_verdict(), grace=grace)
                    await self._emptied_within(BATCH_INTERVAL)
        except TimeoutError:
            log.warning("connections_left_after_drain", count=len(self.connections))
            return False
        return True

    def restart_verdict(self) -> Verdict:
        """What a client hears from a server that stops."""
        after = uniform(0, self._restart_spread)  # noqa: S311 - jitter, no secret
        return Verdict(CloseCode.SERVICE_RESTART, "service_restart", int(after * 1000))

    async def _emptied_within(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._emptied.wait(), seconds)

    async def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        next_sweep = next_weighing = 0.0
        while True:
            await asyncio.sleep(TICK)
            self.now = loop.time()
            for connection in list(self.busy):
                self._look_after(connection, connection.tick)
            if self.now >= next_weighing:
                next_weighing = self.now + STRANGER_LOOK
                for connection in list(self._strangers):
                    self._look_after(connection, connection.weigh)
            if self.now >= next_sweep:
                next_sweep = self.now + self._sweep_interval
                for connection in list(self.connections.values()):
                    self._look_after(connection, connection.sweep)

    def _look_after(self, connection: "Connection", check: Callable[[float], None]) -> None:
        """One connection's fault must not stop the pulse of all others."""
        try:
            check(self.now)
        except Exception:
            log.exception("connection_check_failed", connection_id=connection.id)
            connection.stop(Verdict(CloseCode.INTERNAL_ERROR, "internal_error"))


def _discard(index: defaultdict[str, set["Connection"]], key: str, connection: "Connection") -> None:
    found = index.get(key)
    if found is not None:
        found.discard(connection)
        if not found:
            del index[key]
