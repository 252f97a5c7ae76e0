"""Registry of the connections of all workers, in Redis, which also counts the connections of each user.

Every entry has a lease that its worker renews. The entries of a dead worker expire with their leases, and the next call
about that user removes them. Entering takes one round trip, which handshakes that come together share; a packet takes
none.

While Redis is away, no new connection is accepted. Open ones stay, and are entered anew when Redis is back, whatever it
has lost: renewing a lease writes the whole entry.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import chain
from typing import Any, Final

import msgspec
import structlog
from redis.asyncio import RedisCluster

from starpost.auth.principal import Principal
from starpost.backoff import Backoff
from starpost.connections.registry import TooManyConnectionsError
from starpost.errors import UnavailableError
from starpost.redis import REDIS_FAULTS, RedisClients, Script, log_fault
from starpost.redis.tasks import end_task
from starpost.sessions.entrance import Entrance, Entrant

ENTER_TIMEOUT: Final = 3.0
"""Longest wait of a client for a slow Redis, in seconds, before it is refused with 1013."""

STOP_TIMEOUT: Final = 2.0
"""Seconds for removing the last entries when the worker stops. Remaining ones end with their leases."""

USERS_PER_CALL: Final = 50
"""Users in one call of a script. Longer calls would delay Redis' other clients. On a cluster it is 1, as keys of
different users are in different slots."""

CALLS_AT_ONCE: Final = 20
SCAN_COUNT: Final = 1000

_DROP_EXPIRED: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function drop_expired(leases, entries)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', now)) do
    redis.call('ZREM', leases, id)
    redis.call('HDEL', entries, id)
  end
end
"""

_ENTER: Final = (
    _DROP_EXPIRED
    + """
local lease, limit, at = tonumber(ARGV[1]), tonumber(ARGV[2]), 3
local answers = {}
for k = 1, #KEYS, 2 do
  local leases, entries = KEYS[k], KEYS[k + 1]
  drop_expired(leases, entries)
  local last = at + 2 * tonumber(ARGV[at])
  for i = at + 1, last, 2 do
    if limit > 0 and redis.call('ZCARD', leases) >= limit and not redis.call('ZSCORE', leases, ARGV[i]) then
      answers[#answers + 1] = 0
    else
      redis.call('ZADD', leases, now + lease, ARGV[i])
      redis.call('HSET', entries, ARGV[i], ARGV[i + 1])
      answers[#answers + 1] = 1
    end
  end
  redis.call('PEXPIRE', leases, lease)
  redis.call('PEXPIRE', entries, lease)
  at = last + 1
end
return answers
"""
)
"""KEYS: leases and entries of each user. ARGV: the lease in ms, the most connections of a user (0: any), and for each
user the number of connections, then id and entry of each. Returns, in their order, 1 for each connection that was
entered, and 0 for one that its user has no room for."""

_LEAVE: Final = """
local at = 1
for k = 1, #KEYS, 2 do
  local last = at + tonumber(ARGV[at])
  for i = at + 1, last do
    redis.call('ZREM', KEYS[k], ARGV[i])
    redis.call('HDEL', KEYS[k + 1], ARGV[i])
  end
  at = last + 1
end
return 1
"""

_LIST: Final = (
    _DROP_EXPIRED
    + """
local found = {}
for k = 1, #KEYS, 2 do
  drop_expired(KEYS[k], KEYS[k + 1])
  for _, entry in ipairs(redis.call('HVALS', KEYS[k + 1])) do found[#found + 1] = entry end
end
return found
"""
)

_LEASES, _ENTRIES = "leases", "entries"

_Call = tuple[list[str], list[Any]]
"""Keys and arguments of a script."""

log = structlog.get_logger(__name__)


class ConnectionEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Entry of an authenticated connection, on any worker."""

    connection_id: str
    user: str
    """Name of the user."""

    user_id: str
    """Claim ``sub``."""

    session_id: str | None
    """Keycloak session (``sid``)."""

    node: str
    worker: str
    since: datetime
    expires_at: datetime
    """Expiry of the token."""


class _Member:
    """Connection of this worker."""

    __slots__ = ("entry", "since", "user_id")

    def __init__(self, user_id: str, since: datetime, entry: bytes) -> None:
        self.user_id = user_id
        self.since = since
        self.entry = entry


class RedisConnectionRegistry:
    """Registry: writes the entries of this worker, and reads those of all.

    Args:
        clients: Clients of Redis.
        node: Name of this node.
        worker: Unique name of this worker.
        limit: Most connections of one user on all workers.
        lease: Seconds after which the entries of a dead worker expire.
    """

    def __init__(self, clients: RedisClients, *, node: str, worker: str, limit: int, lease: float) -> None:
        self._clients = clients
        self._keys = clients.keys
        self._node = node
        self._worker = worker
        self._limit = limit
        self._lease_ms = int(lease * 1000)
        self._interval = lease / 3
        self._enter = clients.script(_ENTER, database="auth")
        self._leave = clients.script(_LEAVE, database="auth")
        self._list = clients.script(_LIST, database="auth")
        self._is_cluster = isinstance(clients.auth, RedisCluster)
        self._users_per_call = 1 if self._is_cluster else USERS_PER_CALL
        self._entrance = Entrance(
            self._enter_together,
            lambda entrant: self._mark_left(entrant.user_id, entrant.connection_id),
            size=USERS_PER_CALL,
        )
        self._members: dict[str, _Member] = {}
        self._of_user: dict[str, set[str]] = {}
        self._entering: dict[str, int] = {}
        self._left: dict[str, set[str]] = {}
        self._changed: set[str] = set()
        self._is_renewal_due = False
        self._wake = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._is_current = True

    async def start(self) -> None:
        """Start renewing leases."""
        self._keeper = asyncio.create_task(self._keep(), name="connection-registry")

    async def stop(self) -> None:
        """Stop, and remove this worker's entries from Redis, within ``STOP_TIMEOUT``."""
        await end_task(self._keeper)
        for connection_id in list(self._members):
            self.leave(connection_id)
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await self._take_out()
        except REDIS_FAULTS as error:
            log.warning("connections_not_removed", count=sum(map(len, self._left.values())), cause=repr(error))

    async def check(self) -> None:
        """Check that Redis has the entries of this worker.

        Raises:
            UnavailableError: The last renewal failed.
        """
        if not self._is_current:
            raise UnavailableError("The leases of this worker's connections are not renewed")

    # ---- this worker's connections -----------------------------------------------------------------------------------

    async def enter(self, connection_id: str, principal: Principal, since: datetime) -> None:
        """Count a connection of its user, until it leaves.

        Raises:
            TooManyConnectionsError: The user has as many connections as are allowed.
            UnavailableError: Redis is away.
        """
        user_id = principal.user_id
        # Checked here too, since Redis may hang, and the number of a user's connections that wait must be bounded.
        entering = self._entering.get(user_id, 0)
        if len(self._of_user.get(user_id, ())) + entering >= self._limit:
            raise TooManyConnectionsError
        entrant = Entrant(user_id, connection_id, self._entry(connection_id, principal, since))
        self._entering[user_id] = entering + 1
        try:
            is_in = await self._entrance.pass_through(entrant, self._place_of(user_id))
        except REDIS_FAULTS as error:
            log.warning("connection_not_entered", connection_id=connection_id, cause=repr(error))
            raise UnavailableError("Connections cannot be counted now") from error
        finally:
            self._entering[user_id] -= 1
            if not self._entering[user_id]:
                del self._entering[user_id]
        if not is_in:
            raise TooManyConnectionsError
        self._members[connection_id] = _Member(user_id, since, entrant.entry)
        self._of_user.setdefault(user_id, set()).add(connection_id)

    async def _enter_together(self, entrants: Sequence[Entrant]) -> list[bool]:
        """Enter connections of one place; return, in their order, which of them their users had room for."""
        of_user: dict[str, list[Entrant]] = {}
        for entrant in entrants:
            of_user.setdefault(entrant.user_id, []).append(entrant)
        keys: list[str] = []
        args: list[Any] = [self._lease_ms, self._limit]
        for user_id, theirs in of_user.items():
            keys += self._keys_of(user_id)
            args.append(len(theirs))
            for entrant in theirs:
                args += [entrant.connection_id, entrant.entry]
        async with asyncio.timeout(ENTER_TIMEOUT):
            answers = await self._enter(keys=keys, args=args)
        is_in = dict(zip(chain.from_iterable(of_user.values()), answers, strict=True))
        return [bool(is_in[entrant]) for entrant in entrants]

    def _place_of(self, user_id: str) -> str:
        """Return the part of the registry that answers by one call: all of it, or on a cluster a user's keys."""
        return user_id if self._is_cluster else ""

    def update(self, connection_id: str, principal: Principal) -> None:
        """Record a connection's new token; Redis gets it in the background."""
        member = self._members.get(connection_id)
        if member is not None:
            member.entry = self._entry(connection_id, principal, member.since)
            self._changed.add(member.user_id)
            self._wake.set()

    def leave(self, connection_id: str) -> None:
        """Remove a connection, in the background, with retries. Does nothing for one that is not entered."""
        member = self._members.pop(connection_id, None)
        if member is None:
            return
        mine = self._of_user[member.user_id]
        mine.discard(connection_id)
        if not mine:
            del self._of_user[member.user_id]
        self._mark_left(member.user_id, connection_id)

    def renew_soon(self) -> None:
        """Enter all connections anew soon, since Redis may have lost them."""
        self._is_renewal_due = True
        self._wake.set()

    def _mark_left(self, user_id: str, connection_id: str) -> None:
        self._left.setdefault(user_id, set()).add(connection_id)
        self._wake.set()

    def _entry(self, connection_id: str, principal: Principal, since: datetime) -> bytes:
        return msgspec.json.encode(
            ConnectionEntry(
                connection_id=connection_id,
                user=principal.username,
                user_id=principal.user_id,
                session_id=principal.session_id,
                node=self._node,
                worker=self._worker,
                since=since,
                expires_at=datetime.fromtimestamp(principal.expires_at, UTC),
            )
        )

    def _keys_of(self, user_id: str) -> list[str]:
        return [self._keys.user_connections(user_id, _LEASES), self._keys.user_connections(user_id, _ENTRIES)]

    # ---- keeping them in Redis ---------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        """Renew leases and remove entries, one after the other, so that a renewal never restores a removed entry."""
        loop = asyncio.get_running_loop()
        renew_at = loop.time() + self._interval
        backoff = Backoff()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(renew_at):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self._take_out()
                if self._is_renewal_due or loop.time() >= renew_at:
                    self._is_renewal_due = False
                    renew_at = loop.time() + self._interval
                    await self._renew(list(self._of_user))
                elif self._changed:
                    await self._renew([user_id for user_id in self._changed if user_id in self._of_user])
                self._changed.clear()
                self._is_current = True
                backoff.reset()
            except Exception as error:  # noqa: BLE001 - whatever it was, leases must go on being renewed
                log_fault(log, "connections_not_renewed", error, count=len(self._members))
                self._is_current = False
                self.renew_soon()
                await backoff.pause()

    async def _renew(self, user_ids: list[str]) -> None:
        calls = []
        for users in self._groups(user_ids):
            keys: list[str] = []
            args: list[Any] = [self._lease_ms, 0]
            for user_id in users:
                keys += self._keys_of(user_id)
                mine = self._of_user.get(user_id, ())
                args.append(len(mine))
                for connection_id in mine:
                    args += [connection_id, self._members[connection_id].entry]
            calls.append((keys, args))
            if len(calls) == CALLS_AT_ONCE:
                await self._run(self._enter, calls)
                calls = []
        await self._run(self._enter, calls)

    async def _take_out(self) -> None:
        for user_ids in self._groups(list(self._left), calls=CALLS_AT_ONCE):
            leaving = {user_id: frozenset(self._left[user_id]) for user_id in user_ids}
            calls = []
            for users in self._groups(user_ids):
                keys: list[str] = []
                args: list[Any] = []
                for user_id in users:
                    keys += self._keys_of(user_id)
                    args += [len(leaving[user_id]), *leaving[user_id]]
                calls.append((keys, args))
            await self._run(self._leave, calls)
            for user_id, done in leaving.items():
                self._left[user_id] -= done
                if not self._left[user_id]:
                    del self._left[user_id]

    async def _run(self, script: Script, calls: list[_Call]) -> list[Any]:
        """Run the calls concurrently, wait for all, and raise the first error."""
        outcomes = await asyncio.gather(*(script(keys=keys, args=args) for keys, args in calls), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return outcomes

    def _groups(self, user_ids: list[str], *, calls: int = 1) -> Iterator[list[str]]:
        size = self._users_per_call * calls
        return (user_ids[start : start + size] for start in range(0, len(user_ids), size))

    # ---- the connections of all workers ------------------------------------------------------------------------------

    async def entries(self) -> list[ConnectionEntry]:
        """Return all connections, by name, then by time. Reads every user's key; for administrators.

        Raises:
            UnavailableError: Redis is away.
        """
        found: list[ConnectionEntry] = []
        decode = msgspec.json.Decoder(ConnectionEntry).decode
        try:
            async for leases in self._leases_of_users():
                calls: list[_Call] = [(_with_entries(group), []) for group in self._groups(leases)]
                for group_entries in await self._run(self._list, calls):
                    found += map(decode, group_entries)
        except REDIS_FAULTS as error:
            log.warning("connections_not_listed", cause=repr(error))
            raise UnavailableError("Connections cannot be listed now") from error
        # SCAN may return a key twice, while the table of keys grows.
        unique = {entry.connection_id: entry for entry in found}
        return sorted(unique.values(), key=lambda held: (held.user, held.since, held.connection_id))

    async def find(self, connection_id: str) -> ConnectionEntry | None:
        """Return a connection on any worker; ``None`` if there is none with this id.

        Raises:
            UnavailableError: Redis is away.
        """
        return next((held for held in await self.entries() if held.connection_id == connection_id), None)

    async def _leases_of_users(self) -> AsyncIterator[list[str]]:
        group: list[str] = []
        pattern = self._keys.user_connections_pattern(_LEASES)
        async for key in self._clients.auth.scan_iter(match=pattern, count=SCAN_COUNT):
            group.append(key.decode())
            if len(group) == self._users_per_call * CALLS_AT_ONCE:
                yield group
                group = []
        if group:
            yield group


def _with_entries(leases: list[str]) -> list[str]:
    """Return the keys of users: leases and entries of each."""
    return [key for lease in leases for key in (lease, lease.removesuffix(_LEASES) + _ENTRIES)]
