"""Who is subscribed to a topic, on all workers; and telling who joins and leaves.

Every subscription is a member with a lease that its worker renews; when a worker dies, its leases run out, and whoever
renews next tells that its users have left. A user joins with the first of its connections and leaves with the last.
The members of a topic stand twice in Redis: by the end of their lease, and by name, so that the connections of one user
are found without looking at all others.
"""

import asyncio
from collections import Counter, defaultdict
from typing import Final

import msgspec
import structlog

from app.framework.redis import REDIS_FAULTS, RedisClients
from app.framework.redis.tasks import end_task
from app.framework.topics.event import Frames
from app.framework.topics.links import pause
from app.framework.topics.subscriber import Subscriber

SEPARATOR: Final = "\x1f"
"""Between user and connection; no user name has it (it is replaced), and nothing sorts between it and a blank."""

_UPDATE: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lease = tonumber(ARGV[1])
local adding = tonumber(ARGV[2])
local function user_of(member) return string.match(member, '^(.*)\\31') end
local function is_there(user)
  return #redis.call('ZRANGEBYLEX', KEYS[2], '[' .. user .. '\\31', '(' .. user .. '\\32', 'LIMIT', 0, 1) > 0
end
local gone = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)
for i = 3 + adding, #ARGV do gone[#gone + 1] = ARGV[i] end
local was_there = {}
for _, member in ipairs(gone) do was_there[user_of(member)] = is_there(user_of(member)) end
for i = 3, 2 + adding do was_there[user_of(ARGV[i])] = is_there(user_of(ARGV[i])) end
for _, member in ipairs(gone) do
  redis.call('ZREM', KEYS[1], member)
  redis.call('ZREM', KEYS[2], member)
end
for i = 3, 2 + adding do
  redis.call('ZADD', KEYS[1], now + lease, ARGV[i])
  redis.call('ZADD', KEYS[2], 0, ARGV[i])
end
redis.call('PEXPIRE', KEYS[1], lease * 4)
redis.call('PEXPIRE', KEYS[2], lease * 4)
local joined, left = {}, {}
for user, was in pairs(was_there) do
  local is = is_there(user)
  if is and not was then joined[#joined + 1] = user end
  if was and not is then left[#left + 1] = user end
end
if #joined + #left > 0 then
  redis.call('SPUBLISH', KEYS[3], cmsgpack.pack({joined, left}))
end
return 0
"""

_MEMBERS: Final = """
local time = redis.call('TIME')
return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. time[1] * 1000 + math.floor(time[2] / 1000), '+inf')
"""

log = structlog.get_logger(__name__)


class PresentUser(msgspec.Struct, frozen=True):
    """A user who is subscribed, with the number of their connections."""

    user: str
    connections: int


class Change(msgspec.Struct, frozen=True):
    """Users who came to a topic, and users who left it."""

    topic: str
    joined: list[str]
    left: list[str]


class Presence:
    """Members of topics.

    Args:
        clients: The way to Redis.
        lease: Seconds after which a member whose worker has died is gone.
    """

    def __init__(self, clients: RedisClients, *, lease: float) -> None:
        self._keys = clients.keys
        self._lease_ms = int(lease * 1000)
        self._interval = lease / 3
        self._update = clients.script(_UPDATE)
        self._list = clients.script(_MEMBERS)
        self._members: defaultdict[str, set[str]] = defaultdict(set)
        self._watched: Counter[str] = Counter()
        self._left: defaultdict[str, set[str]] = defaultdict(set)
        self._has_left = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to renew leases."""
        self._tasks = [
            asyncio.create_task(self._renew(), name="presence-renew"),
            asyncio.create_task(self._tell_who_left(), name="presence-left"),
        ]

    async def stop(self) -> None:
        """Take this worker's members out, and stop. What cannot be told now ends with its lease."""
        for name in list(self._members):
            self._left[name] |= self._members.pop(name)
        await asyncio.gather(*(end_task(task) for task in self._tasks))
        try:
            async with asyncio.timeout(1):
                await asyncio.gather(*(self._send(name, [], list(self._left.pop(name))) for name in list(self._left)))
        except (TimeoutError, *REDIS_FAULTS) as error:
            log.warning("presence_not_left", cause=repr(error))

    def channel(self, name: str) -> str:
        """The Redis channel of a topic's changes."""
        return self._keys.topic(name, "presence")

    async def join(self, name: str, user: str, connection_id: str) -> None:
        """Add a connection.

        Raises:
            redis.exceptions.RedisError: Redis is away.
        """
        member = _member(user, connection_id)
        self._left[name].discard(member)
        await self._send(name, [member], [])
        self._members[name].add(member)

    def leave(self, name: str, user: str, connection_id: str) -> None:
        """Remove a connection; told in the background."""
        member = _member(user, connection_id)
        members = self._members.get(name)
        if members is not None:
            members.discard(member)
            if not members:
                del self._members[name]
        self._left[name].add(member)
        self._has_left.set()

    def watch(self, name: str, by: int) -> None:
        """Somebody here wants to know (``by`` 1), or no longer (-1): the dead are looked for, own members or not."""
        self._watched[name] += by
        if self._watched[name] <= 0:
            del self._watched[name]

    async def users(self, name: str) -> list[PresentUser]:
        """Who is there, by name.

        Raises:
            redis.exceptions.RedisError: Redis is away.
        """
        members = await self._list(keys=[self._keys.topic(name, "leases")], args=[])
        counts = Counter(member.decode().rpartition(SEPARATOR)[0] for member in members)
        return [PresentUser(user, count) for user, count in sorted(counts.items())]

    async def _send(self, name: str, adding: list[str], removing: list[str]) -> None:
        keys = [self._keys.topic(name, "leases"), self._keys.topic(name, "members"), self.channel(name)]
        await self._update(keys=keys, args=[self._lease_ms, len(adding), *adding, *removing])

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            for name in list(self._members.keys() | self._watched.keys()):
                try:
                    await self._send(name, list(self._members.get(name, ())), [])
                except REDIS_FAULTS as error:
                    # The leases last for two more tries; after that the members are added anew.
                    log.warning("presence_not_renewed", topic=name, cause=repr(error))

    async def _tell_who_left(self) -> None:
        tries = 0
        while True:
            await self._has_left.wait()
            self._has_left.clear()
            for name in list(self._left):
                members = self._left.pop(name)
                try:
                    await self._send(name, [], [member for member in members if member not in self._members[name]])
                    tries = 0
                except REDIS_FAULTS as error:
                    self._left[name] |= members
                    log.warning("presence_not_left", topic=name, cause=repr(error))
                    self._has_left.set()
                    await asyncio.sleep(pause(tries))
                    tries += 1
                if not self._members[name]:
                    del self._members[name]


def _member(user: str, connection_id: str) -> str:
    return f"{user.replace(SEPARATOR, ' ')}{SEPARATOR}{connection_id}"


def parse_change(name: str, message: bytes) -> Change:
    """What the updating script fans out. Lua's empty table is a map in MessagePack as often as a list."""
    joined, left = msgspec.msgpack.decode(message, type=tuple[list[str] | dict[str, str], list[str] | dict[str, str]])
    return Change(name, sorted(joined), sorted(left))


class Watcher:
    """One connection that watches; what comes before the reply to its PRESENCE waits for it."""

    def __init__(self, subscriber: Subscriber) -> None:
        self._subscriber = subscriber
        self._held: list[Frames] | None = []

    def begin(self) -> None:
        """The reply has been written."""
        held, self._held = self._held, None
        for frames in held or ():
            self._subscriber.push_frames(frames)

    def tell(self, frames: Frames) -> None:
        """Send a change."""
        if self._held is None:
            self._subscriber.push_frames(frames)
        else:
            self._held.append(frames)


class Watchers:
    """This worker's watchers of one topic's presence. A ``Listener`` of its Redis channel."""

    def __init__(self, name: str, pkg_id: int) -> None:
        self._name = name
        self._pkg_id = pkg_id
        self.subscribers: dict[str, Watcher] = {}
        self.has_joined = asyncio.Event()

    def joined(self) -> None:
        """See ``Listener``."""
        self.has_joined.set()

    def lost(self) -> None:
        """See ``Listener``."""
        self.has_joined.clear()

    def message(self, data: bytes) -> None:
        """See ``Listener``."""
        frames = Frames(self._pkg_id, msgspec.json.encode(parse_change(self._name, data)))
        for watcher in list(self.subscribers.values()):
            watcher.tell(frames)
