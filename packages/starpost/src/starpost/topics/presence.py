"""Presence: the users who are subscribed to a topic, on all workers, and the changes of that list.

Every subscription is a member with a lease that its worker renews. When a worker dies, its leases run out, and the next
worker that renews or asks announces that its users have left. A user (``sub``) joins with its first connection and
leaves with its last. Names are for display: a renamed user stays the same user, and is shown by the name in its newest
token.

In each worker one task writes the members of a topic, one call after the other, so that a late answer never restores a
member that has left. One call contains the changes of many connections.
"""

import asyncio
from typing import Any, Final

import msgspec
import structlog

from starpost.auth.principal import Principal
from starpost.backoff import Backoff
from starpost.redis import REDIS_FAULTS, RedisClients, log_fault
from starpost.redis.tasks import end_task

MAX_PER_CALL: Final = 1000
"""Members that one call of a script writes or removes. Longer calls would delay Redis' other clients."""

_SHARED: Final = """
-- KEYS: leases (connection and user, by end of lease), users (by time of joining), connections per user, names, channel
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function user_of(member) return string.match(member, '^[^\\31]*\\31(.*)$') end
local function name_of(user)
  local held = redis.call('HGET', KEYS[4], user)
  return held and string.match(held, '^%S+ (.*)$') or user
end
local function shown(user) return redis.call('ZSCORE', KEYS[2], user) and name_of(user) or false end
local before = {}
local function note(user)
  if before[user] == nil then before[user] = shown(user) end
end
local function remove(member)
  local user = user_of(member)
  note(user)
  if redis.call('ZREM', KEYS[1], member) == 1 and redis.call('HINCRBY', KEYS[3], user, -1) <= 0 then
    redis.call('ZREM', KEYS[2], user)
    redis.call('HDEL', KEYS[3], user)
    redis.call('HDEL', KEYS[4], user)
  end
end
local function remove_expired(limit)
  local expired = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, limit)
  for _, member in ipairs(expired) do remove(member) end
  return #expired
end
local function tell()
  local joined, left = {}, {}
  for user, was in pairs(before) do
    local is = shown(user)
    if was ~= is then
      if was then left[#left + 1] = was end
      if is then joined[#joined + 1] = is end
    end
  end
  if #joined + #left > 0 then redis.call('SPUBLISH', KEYS[5], cmsgpack.pack({joined, left})) end
end
"""

_UPDATE: Final = (
    _SHARED
    + """
local lease, limit = tonumber(ARGV[1]), tonumber(ARGV[2])
local adding, names, removing = unpack(cmsgpack.unpack(ARGV[3]))
for _, member in ipairs(adding) do note(user_of(member)) end
local expired = remove_expired(limit)
for _, member in ipairs(removing) do remove(member) end
for _, member in ipairs(adding) do
  local user = user_of(member)
  if redis.call('ZADD', KEYS[1], now + lease, member) == 1 and redis.call('HINCRBY', KEYS[3], user, 1) == 1 then
    -- No two users have the same place in the order of joining: pages end between them.
    local last = redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
    local place = math.max(time[1] * 1000000 + time[2], last and last + 1 or 0)
    redis.call('ZADD', KEYS[2], string.format('%.0f', place), user)
  end
end
for _, named in ipairs(names) do
  local user, issued_at, name, is_news = unpack(named)
  local held = redis.call('HGET', KEYS[4], user)
  local age = held and tonumber(issued_at) - tonumber(string.match(held, '^%S+')) or 1
  -- Tokens of one second: the one that came last, and no renewal brings the other back.
  if age > 0 or (age == 0 and is_news) then redis.call('HSET', KEYS[4], user, issued_at .. ' ' .. name) end
end
for k = 1, 4 do redis.call('PEXPIRE', KEYS[k], lease * 4) end
tell()
return expired
"""
)
"""ARGV: the lease in ms, the most expired members to remove, and in MessagePack the members to add, the names (user,
time of issue of the token, name, true if it is new), the members to remove. Returns how many had expired."""

_PAGE: Final = (
    _SHARED
    + """
local limit, after, size = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local expired = remove_expired(limit)
tell()
local found = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. after, '+inf', 'WITHSCORES', 'LIMIT', 0, size + 1)
local page = {}
for i = 1, math.min(#found, 2 * size), 2 do
  page[#page + 1] = name_of(found[i])
  page[#page + 1] = redis.call('HGET', KEYS[3], found[i])
end
return {expired, page, #found > 2 * size and found[2 * size] or false}
"""
)
"""ARGV: the most expired members to remove, the position after which the page begins, and its size. Returns how many
had expired, each user's name and number of connections, and the last position if more follow."""

log = structlog.get_logger(__name__)


class PresentUser(msgspec.Struct, frozen=True):
    """Subscribed user: the name to show, and the number of connections."""

    user: str
    connections: int


class Change(msgspec.Struct, frozen=True):
    """Change of a topic's users: those who joined and those who left. A renamed user is in both, with the two names."""

    topic: str
    joined: list[str]
    left: list[str]


class _Member(msgspec.Struct, frozen=True):
    """Connection in a topic."""

    user_id: str
    issued_at: float
    name: str


class _Roll:
    """Members of this worker in one topic, with the changes that Redis does not know yet."""

    __slots__ = ("changed", "is_due", "left", "members", "task", "waiting", "watches")

    def __init__(self) -> None:
        self.members: dict[str, _Member] = {}
        self.changed: set[str] = set()
        self.left: set[str] = set()
        self.is_due = False
        self.watches = 0
        self.waiting: list[asyncio.Future[None]] = []
        self.task: asyncio.Task[None] | None = None

    @property
    def is_behind(self) -> bool:
        """True if changes must be written to Redis."""
        return self.is_due or bool(self.changed or self.left)


class Presence:
    """Presence in topics.

    Args:
        clients: Clients of Redis.
        lease: Seconds after which a member of a dead worker is removed.
    """

    def __init__(self, clients: RedisClients, *, lease: float) -> None:
        self._keys = clients.keys
        self._lease_ms = int(lease * 1000)
        self._interval = lease / 3
        self._update = clients.script(_UPDATE)
        self._page = clients.script(_PAGE)
        self._rolls: dict[str, _Roll] = {}
        self._renewing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start renewing leases."""
        self._renewing = asyncio.create_task(self._renew(), name="presence-renew")

    async def stop(self) -> None:
        """Remove this worker's members, and stop. Members that cannot be removed now end with their lease."""
        await end_task(self._renewing)
        for name, roll in list(self._rolls.items()):
            for connection_id in list(roll.members):
                self.leave(name, connection_id)
        tasks = [roll.task for roll in self._rolls.values() if roll.task is not None]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=1)
            if late:
                log.warning("presence_not_left", topics=len(late))
            await asyncio.gather(*map(end_task, late))

    def channel(self, name: str) -> str:
        """Return the Redis channel of a topic's changes."""
        return self._keys.topic(name, "presence")

    async def join(self, name: str, principal: Principal, connection_id: str) -> None:
        """Add a connection. ``leave`` must follow, even if this call raises.

        Raises:
            redis.exceptions.RedisError: Redis is away.
        """
        roll = self._roll(name)
        member = _Member(principal.user_id, principal.issued_at, principal.username)
        roll.members[connection_id] = member
        roll.left.discard(_written(connection_id, member))
        roll.changed.add(connection_id)
        joined = asyncio.get_running_loop().create_future()
        roll.waiting.append(joined)
        self._write_soon(name, roll)
        await joined

    def leave(self, name: str, connection_id: str) -> None:
        """Remove a connection, in the background, with retries. Does nothing for one that has not joined."""
        roll = self._rolls.get(name)
        member = None if roll is None else roll.members.pop(connection_id, None)
        if roll is not None and member is not None:
            roll.changed.discard(connection_id)
            roll.left.add(_written(connection_id, member))
            self._write_soon(name, roll)

    def rename(self, name: str, principal: Principal, connection_id: str) -> None:
        """Record the name in a connection's new token. A change is announced in the background."""
        roll = self._rolls.get(name)
        member = None if roll is None else roll.members.get(connection_id)
        if roll is None or member is None:
            return
        roll.members[connection_id] = _Member(member.user_id, principal.issued_at, principal.username)
        if principal.username != member.name:
            roll.changed.add(connection_id)
            self._write_soon(name, roll)

    def watch(self, name: str, by: int) -> None:
        """Count a watcher here (``by`` 1 or -1). While there is one, this worker looks for expired members."""
        roll = self._roll(name)
        roll.watches += by
        self._forget_if_empty(name, roll)

    async def page(self, name: str, size: int, after: int) -> tuple[list[PresentUser], int | None]:
        """Return a page of users, in the order in which they joined. Redis reads only this page.

        Args:
            name: Canonical name of the topic.
            size: Most users in the page.
            after: Position that was returned with the page before; 0 for the first page.

        Returns:
            The users, and the position after which the next page begins; ``None`` if there is none.

        Raises:
            redis.exceptions.RedisError: Redis is away.
        """
        expired = MAX_PER_CALL
        while expired == MAX_PER_CALL:
            expired, found, last = await self._page(keys=self._keys_of(name), args=[MAX_PER_CALL, after, size])
        users = [PresentUser(user.decode(), int(count)) for user, count in zip(found[::2], found[1::2], strict=True)]
        return users, None if last is None else int(last)

    def _keys_of(self, name: str) -> list[str]:
        parts = ("leases", "users", "connections", "names")
        return [*(self._keys.topic(name, part) for part in parts), self.channel(name)]

    def _roll(self, name: str) -> _Roll:
        return self._rolls.setdefault(name, _Roll())

    def _forget_if_empty(self, name: str, roll: _Roll) -> None:
        if not roll.members and not roll.watches and not roll.is_behind and roll.task is None:
            del self._rolls[name]

    # ---- keeping Redis up to date ------------------------------------------------------------------------------------

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            for number, name in enumerate(list(self._rolls)):
                # Looked up again: meanwhile the topic may have been left, and joined by others.
                roll = self._rolls.get(name)
                if roll is not None:
                    roll.is_due = True
                    self._write_soon(name, roll)
                if number % 100 == 0:
                    # There may be as many topics as users, so give other tasks a turn between them.
                    await asyncio.sleep(0)

    def _write_soon(self, name: str, roll: _Roll) -> None:
        if roll.task is None:
            roll.task = asyncio.create_task(self._write(name, roll), name="presence-write")

    async def _write(self, name: str, roll: _Roll) -> None:
        """Write changes until Redis has all of them. A topic whose shard is away delays no other."""
        backoff = Backoff()
        try:
            while roll.is_behind:
                adding = list(roll.members) if roll.is_due else list(roll.changed)
                news, removing, waiting = roll.changed, list(roll.left), roll.waiting
                roll.changed, roll.left, roll.waiting, roll.is_due = set(), set(), [], False
                try:
                    await self._send(name, [(each, roll.members[each]) for each in adding], news, removing)
                except Exception as error:  # noqa: BLE001 - whatever it was, leases must go on being renewed
                    roll.is_due = len(adding) > len(news)
                    roll.changed.update(each for each in news if each in roll.members)
                    roll.left.update(removing)
                    roll.left -= {_written(each, member) for each, member in roll.members.items()}
                    log_fault(log, "presence_not_written", error, topic=name)
                    _settle(waiting, error if isinstance(error, REDIS_FAULTS) else ConnectionError(repr(error)))
                    await backoff.pause()
                else:
                    _settle(waiting, None)
                    backoff.reset()
        finally:
            roll.task = None
            self._forget_if_empty(name, roll)

    async def _send(self, name: str, adding: list[tuple[str, _Member]], news: set[str], removing: list[str]) -> None:
        keys = self._keys_of(name)
        expired, start = MAX_PER_CALL, 0
        while start < max(len(adding), len(removing)) or expired == MAX_PER_CALL:
            batch = adding[start : start + MAX_PER_CALL]
            content: Any = (
                [_written(connection_id, member) for connection_id, member in batch],
                _names(batch, news),
                removing[start : start + MAX_PER_CALL],
            )
            args: list[Any] = [self._lease_ms, MAX_PER_CALL, msgspec.msgpack.encode(content)]
            expired = await self._update(keys=keys, args=args)
            start += MAX_PER_CALL


def _names(batch: list[tuple[str, _Member]], news: set[str]) -> list[tuple[str, str, str, bool]]:
    """Return each user's name, from the newest token."""
    newest: dict[str, tuple[float, bool, str]] = {}
    for connection_id, member in batch:
        named = (member.issued_at, connection_id in news, member.name)
        newest[member.user_id] = max(named, newest.get(member.user_id, named))
    return [(user, f"{issued_at:.3f}", name, is_news) for user, (issued_at, is_news, name) in newest.items()]


def _written(connection_id: str, member: _Member) -> str:
    """Return a member in the form for Redis. The connection's id comes first, since it never contains a separator."""
    return f"{connection_id}\x1f{member.user_id}"


def _settle(waiting: list["asyncio.Future[None]"], error: Exception | None) -> None:
    for future in waiting:
        if future.done():
            continue  # its SUBSCRIBE has given up
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)


def parse_change(name: str, message: bytes) -> Change:
    """Parse a change from the scripts, where Lua encodes an empty table as a map or as a list."""
    joined, left = msgspec.msgpack.decode(message, type=tuple[list[str] | dict[str, str], list[str] | dict[str, str]])
    return Change(name, sorted(joined), sorted(left))
