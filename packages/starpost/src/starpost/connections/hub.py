"""Hub of one worker's connections: finds them by id, user and session, and drains them."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from math import ceil
from random import uniform
from typing import Final, Protocol

import structlog

from starpost.auth.principal import Principal
from starpost.connections.outbox import Outbox
from starpost.connections.pulse import TICK, Patient, Pulse
from starpost.connections.received import ReceivedBytes
from starpost.protocol.close_codes import CloseCode, Verdict
from starpost.topics.event import Frames

CLOSE_TIMEOUT: Final = 2.0
"""Time, in seconds, for the last frames of a closing connection. A client that does not read must not delay it."""

BATCH_INTERVAL: Final = 0.1
"""Seconds between two batches of a drain."""

SMALLEST_BATCH: Final = 25
"""Least connections in a batch of a drain. A few clients need no spreading, which would only delay the stop."""

log = structlog.get_logger(__name__)


class Member(Patient, Protocol):
    """A connection, as far as the hub and those who ask it see it."""

    @property
    def principal(self) -> Principal | None:
        """Principal of the client; ``None`` until it has signed in."""
        ...

    @property
    def outbox(self) -> Outbox:
        """Outbox of the connection."""
        ...

    @property
    def verdict(self) -> Verdict | None:
        """Reason for which the server closes; ``None`` while it does not."""
        ...

    def push_frames(self, frames: Frames) -> None:
        """Push a packet."""
        ...

    def stop(self, verdict: Verdict, *, grace: float = ...) -> None:
        """Close soon. Running packets have ``grace`` seconds."""
        ...


class ConnectionHub:
    """Hub of a worker's connections, by id, by user and by Keycloak session."""

    def __init__(self, *, heartbeat: float, heartbeat_timeout: float) -> None:
        self.connections: dict[str, Member] = {}
        self.received = ReceivedBytes()
        self._strangers: set[Member] = set()
        self._users: defaultdict[str, set[Member]] = defaultdict(set)
        self._sessions: defaultdict[str, set[Member]] = defaultdict(set)
        self._keys: dict[str, tuple[str, str | None]] = {}
        """User and session under which a connection is found, by its id."""
        self.pulse = Pulse(self.connections, self._strangers, max(TICK, min(1.0, heartbeat / 4, heartbeat_timeout / 4)))
        self._emptied = asyncio.Event()
        self._emptied.set()
        self.is_draining = False
        self._restart_spread = 0.0
        self.on_user_came: Callable[[Principal], None] | None = None
        self.on_user_left: Callable[[str], None] | None = None

    async def start(self) -> None:
        """Start the pulse."""
        self.received.open()
        self.pulse.start()

    async def stop(self) -> None:
        """Stop the pulse. All connections must have ended."""
        await self.pulse.stop()
        self.received.close()

    def add(self, connection: Member) -> None:
        """Add a connection, authenticated or not."""
        self.connections[connection.id] = connection
        if connection.principal is None:
            self._strangers.add(connection)
        self._emptied.clear()

    def identify(self, connection: Member) -> None:
        """Index a connection by user and session; called again after each change of its token."""
        principal = connection.principal
        if principal is None:
            return
        self._strangers.discard(connection)
        self._forget_keys(connection)
        self._keys[connection.id] = (principal.user_id, principal.session_id)
        self._users[principal.user_id].add(connection)
        if principal.session_id is not None:
            self._sessions[principal.session_id].add(connection)
        if self.on_user_came is not None:
            self.on_user_came(principal)

    def remove(self, connection: Member) -> None:
        """Remove a connection."""
        self.connections.pop(connection.id, None)
        self.pulse.busy.discard(connection)
        self._strangers.discard(connection)
        user_id = self._forget_keys(connection)
        if user_id is not None and user_id not in self._users and self.on_user_left is not None:
            self.on_user_left(user_id)
        if not self.connections:
            self._emptied.set()

    def _forget_keys(self, connection: Member) -> str | None:
        """Remove a connection from the indexes, and return its user, if it had one."""
        user_id, session_id = self._keys.pop(connection.id, (None, None))
        if user_id is not None:
            _discard(self._users, user_id, connection)
        if session_id is not None:
            _discard(self._sessions, session_id, connection)
        return user_id

    def waiting_frames(self) -> int:
        """Return the number of frames that wait in all outboxes."""
        return sum(connection.outbox.depth for connection in self.connections.values())

    def of_user(self, user_id: str) -> frozenset[Member]:
        """Return the connections of a user, by ``sub``."""
        return frozenset(self._users.get(user_id, ()))

    def of_session(self, session_id: str) -> frozenset[Member]:
        """Return the connections of a Keycloak session, by ``sid``."""
        return frozenset(self._sessions.get(session_id, ()))

    async def drain(self, *, spread: float, grace: float) -> bool:
        """Close every connection with 1012: in batches, so that they do not all come back at once.

        New connections are refused from now on. Those whose turn has not come are served as before.

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
                    # Listed anew each time: a handshake that had begun before may have added one.
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
        """Return the verdict for a client of a server that stops."""
        after = uniform(0, self._restart_spread)  # noqa: S311 - jitter, no secret
        return Verdict(CloseCode.SERVICE_RESTART, "service_restart", int(after * 1000))

    async def _emptied_within(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._emptied.wait(), seconds)


def _discard(index: defaultdict[str, set[Member]], key: str, connection: Member) -> None:
    found = index.get(key)
    if found is not None:
        found.discard(connection)
        if not found:
            del index[key]
