"""Revocations of sessions and users: stored in Redis, sent to every worker, applied to open sockets.

Every worker has all revocations in memory, for the verifier. It reads them from Redis before it serves, and whenever it
may have missed a message, and then restores those that Redis has lost.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import msgspec
import structlog

from starpost.auth.logout_token import Logout
from starpost.auth.revocation import MemoryRevocationList, Revocation
from starpost.backoff import Backoff
from starpost.connections.hub import ConnectionHub, Member
from starpost.errors import UnauthenticatedError, UnavailableError
from starpost.observability.security_log import SecurityLog
from starpost.protocol.close_codes import CloseCode, Verdict
from starpost.redis import REDIS_FAULTS, log_fault
from starpost.redis.tasks import end_task
from starpost.sessions.revocation_store import RevocationStore
from starpost.topics.broker import Broker

START_TIMEOUT: Final = 5.0
"""Seconds that the start waits for Redis. After that the worker serves, and refuses all tokens until it has read."""

STORE_TIMEOUT: Final = 3.0
"""Seconds that a caller waits for Redis before it gets the error that not every worker is informed."""

REVOKED: Final = Verdict(CloseCode.UNAUTHENTICATED, "session_revoked")
KEY_WITHDRAWN: Final = Verdict(CloseCode.UNAUTHENTICATED, UnauthenticatedError.code)

_TELL_REVOKED, _TELL_CLOSE = "revoked", "close"

log = structlog.get_logger(__name__)


class Revocations:
    """Revocations on all workers.

    Args:
        memory: Revocations for the verifier; made with ``is_known=False``.
        store: Store of all revocations, in Redis.
        broker: Broker of the worker.
        hub: Sockets of this worker.
        security: Security log, for revocations that this worker is asked for.
        max_lifetime: Longest accepted lifetime of a token in seconds, from ``iat`` to ``exp``.
        leeway: Seconds by which clocks may differ.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        memory: MemoryRevocationList,
        store: RevocationStore,
        broker: Broker,
        hub: ConnectionHub,
        security: SecurityLog,
        *,
        max_lifetime: float,
        leeway: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._memory = memory
        self._store = store
        self._broker = broker
        self._hub = hub
        self._security = security
        self._max_lifetime = max_lifetime
        self._leeway = leeway
        self._clock = clock
        self._is_current = False
        self._wake = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read the revocations, and listen for new ones, before the first request. The broker may start later."""
        self._broker.on_control(_TELL_REVOKED, self._told_revoked)
        self._broker.on_control(_TELL_CLOSE, self._told_close)
        self._broker.on_control_joined(self._read_anew)
        try:
            async with asyncio.timeout(START_TIMEOUT):
                await self._synchronise()
        except REDIS_FAULTS as error:
            log.warning("revocations_not_read", cause=repr(error), hint="tokens are refused until they have been")
            self._read_anew()
        self._keeper = asyncio.create_task(self._keep(), name="revocations")

    async def stop(self) -> None:
        """Stop listening."""
        await end_task(self._keeper)

    async def check(self) -> None:
        """Check that this worker knows every revocation, and would receive the next.

        Raises:
            UnavailableError: It may have missed one.
        """
        if not (self._memory.is_known and self._is_current and self._broker.is_connected):
            raise UnavailableError("Revocations may have been missed")

    # ---- what others ask for -----------------------------------------------------------------------------------------

    async def end_sessions(self, logout: Logout) -> bool:
        """End the session of a logout token, or else all sessions of its user that began before it.

        Returns:
            True if the token is new. A repeated token is applied again, which changes nothing where the first was.

        Raises:
            UnavailableError: Redis is away. This worker has applied it; the others will when Redis is back.
        """
        if logout.session_id is not None:
            revocation = self._revocation("session", logout.session_id, 0.0)
        else:
            # Both `iat` come from Keycloak's clock, so no leeway is needed.
            revocation = self._revocation("user", logout.user_id or "", logout.issued_at)
        lifetime = logout.remaining(self._clock(), self._leeway)
        return await self._revoke(
            revocation, lambda: self._store.add_once(revocation, logout.token_id, lifetime=lifetime)
        )

    async def end_user(self, username: str, user_ids: Iterable[str] = ()) -> None:
        """Close every connection of a user, and refuse the user's tokens that have been issued until now.

        Args:
            username: Name in the tokens.
            user_ids: Users (``sub``) known by this name, even if other tokens of theirs have another name.

        Raises:
            UnavailableError: Redis is away. This worker has applied it; the others will when Redis is back.
        """
        # Keycloak's clock may be ahead of ours, and a token that it has issued already must not look like a later one.
        issued_before = self._clock() + self._leeway
        missed: UnavailableError | None = None
        for kind, name in (("username", username.lower()), *(("user", user_id) for user_id in user_ids)):
            revocation = self._revocation(kind, name, issued_before)
            try:
                await self._revoke(revocation, lambda revocation=revocation: self._store_news(revocation))  # type: ignore[misc]
            except UnavailableError as error:
                missed = error
        if missed is not None:
            raise missed

    async def _store_news(self, revocation: Revocation) -> bool:
        """Store a revocation, which is always new."""
        await self._store.add([revocation])
        return True

    def close(self, connection_id: str) -> None:
        """Close a connection on any worker."""
        self._security.record("revoked", reason="connection", connection=connection_id)
        self._broker.tell(_TELL_CLOSE, connection_id, about=connection_id)

    def end_signed_with(self, key_ids: frozenset[str]) -> None:
        """Close this worker's connections whose token is signed with one of these withdrawn keys."""
        self._security.record("revoked", reason="key", keys=", ".join(sorted(key_ids)))
        for connection in list(self._hub.connections.values()):
            if connection.principal is not None and connection.principal.key_id in key_ids:
                connection.stop(KEY_WITHDRAWN)

    def _revocation(self, kind: Any, name: str, issued_before: float) -> Revocation:
        # The youngest of these tokens is accepted until then, with the clocks differing in the other direction.
        until = max(issued_before, self._clock() + self._leeway) + self._max_lifetime + self._leeway
        return Revocation(kind, name, issued_before, until)

    async def _revoke(self, revocation: Revocation, add: Callable[[], Awaitable[bool]]) -> bool:
        self._security.record("revoked", reason=revocation.kind, name=revocation.name)
        try:
            async with asyncio.timeout(STORE_TIMEOUT):
                is_new = await add()
        except BaseException as error:
            # Applied here at once, and sent when Redis is back: closing too early is better than leaving open. The
            # caller gets an error. A cancelled caller does not undo the revocation either.
            self._tell(self._apply(revocation))
            self._read_anew()
            if isinstance(error, REDIS_FAULTS):
                log.warning("revocation_not_stored", kind=revocation.kind, cause=repr(error))
                raise UnavailableError("Not every worker could be informed") from error
            raise
        # Sent even if it is not new: the worker that stored it may have died before it sent it.
        self._tell(self._apply(revocation))
        return is_new

    # ---- what workers tell each other --------------------------------------------------------------------------------

    def _tell(self, revocation: Revocation) -> None:
        self._broker.tell(_TELL_REVOKED, revocation, about=f"{revocation.kind} {revocation.name}")

    def _told_revoked(self, content: Any) -> None:
        self._apply(msgspec.convert(content, Revocation))

    def _told_close(self, content: Any) -> None:
        connection = self._hub.connections.get(msgspec.convert(content, str))
        if connection is not None:
            connection.stop(REVOKED)

    def _apply(self, revocation: Revocation) -> Revocation:
        """Refuse the tokens and close their sockets. Return the revocation in force under this name."""
        merged = self._memory.add(revocation)
        match revocation.kind:
            case "session":
                self._close(self._hub.of_session(revocation.name))
            case "user":
                self._close(self._hub.of_user(revocation.name))
            case _:
                self._close(list(self._hub.connections.values()))
        return merged

    def _close(self, connections: Iterable[Member]) -> None:
        """Close the connections whose token is refused now."""
        for connection in connections:
            if connection.principal is not None and self._memory.is_revoked(connection.principal):
                connection.stop(REVOKED)

    # ---- what may have been missed -----------------------------------------------------------------------------------

    def _read_anew(self) -> None:
        self._is_current = False
        self._wake.set()

    async def _keep(self) -> None:
        backoff = Backoff()
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._synchronise()
                backoff.reset()
            except Exception as error:  # noqa: BLE001 - without this task a worker never again learns what it missed
                log_fault(log, "revocations_not_read", error)
                await backoff.pause()
                self._wake.set()

    async def _synchronise(self) -> None:
        """Read all revocations, then store and send those that Redis has lost."""
        stored = await self._store.load()
        for revocation in stored:
            self._memory.add(revocation)
        self._memory.is_known = True
        missing = set(self._memory.known()) - set(stored)
        await self._store.add(missing)
        # Sent again, for workers that had not joined when the first message was sent, and read before they were stored.
        for revocation in missing:
            self._tell(revocation)
        self._is_current = not self._wake.is_set()
        self._close(list(self._hub.connections.values()))
