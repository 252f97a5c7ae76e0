"""Streams: a topic in Redis is a counter, an epoch, and a stream of its last events.

The offset of an event is a number that grows by one per topic, so a reader knows how many events are missing between
two. The epoch is the life of that counter: when Redis has lost it, a new counter begins under another epoch, and
offsets of the old one are void. One script does numbering, history and fan-out, so that their order is the same and no
event is in only one of them.
"""

from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from starpost.redis.clients import RedisClients
from starpost.redis.keys import Keys
from starpost.topics.topic import RETENTION

_PUBLISH: Final = """
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if not epoch then
  epoch = ARGV[1]
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[1], 'epoch', epoch)
end
-- A retry of what was done, though its answer was lost, must not publish twice.
if redis.call('GET', KEYS[3]) == ARGV[3] then return 0 end
redis.call('SET', KEYS[3], ARGV[3], 'EX', 300)
local history, retention = tonumber(ARGV[2]), tonumber(ARGV[5])
for i = 6, #ARGV do
  local seq = redis.call('HINCRBY', KEYS[1], 'seq', 1)
  if history > 0 then
    redis.call('XADD', KEYS[2], 'MAXLEN', history, seq .. '-0', 'd', ARGV[i])
  end
  redis.call('SPUBLISH', KEYS[4], epoch .. ' ' .. seq .. ' ' .. ARGV[i])
end
-- Events that were lost on the way here leave a hole in the numbers, by which their loss is seen.
if tonumber(ARGV[4]) > 0 then redis.call('HINCRBY', KEYS[1], 'seq', ARGV[4]) end
redis.call('EXPIRE', KEYS[1], retention)
redis.call('EXPIRE', KEYS[2], retention)
return #ARGV - 5
"""

_READ: Final = """
local epoch = redis.call('HGET', KEYS[1], 'epoch')
-- Nothing is written: whoever asks for names at random must not fill Redis with them.
if not epoch then return {'', 0, {}, 0} end
local seq = tonumber(redis.call('HGET', KEYS[1], 'seq') or '0')
-- Numbers that a worker has seen are gone: a replica took over that did not have the last events, or a disk. They are
-- about to be given to other events.
if ARGV[3] == '1' and ARGV[2] ~= '' and tonumber(ARGV[2]) > seq then
  epoch = ARGV[1]
  redis.call('HSET', KEYS[1], 'epoch', epoch)
end
local is_same = (ARGV[4] == epoch or redis.call('HGET', KEYS[1], 'promised:' .. ARGV[4]) == epoch) and 1 or 0
if ARGV[2] == '' then return {epoch, seq, {}, is_same} end
return {epoch, seq, redis.call('XRANGE', KEYS[2], '(' .. ARGV[2] .. '-0', '+'), is_same}
"""

_PROMISE: Final = """
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end
return redis.call('HSET', KEYS[1], 'promised:' .. ARGV[2], ARGV[1])
"""

UNBORN: Final = ""
"""Epoch of a topic that has had no event yet."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Snapshot of a topic: epoch, last number, and the events after the requested number."""

    epoch: str
    """``UNBORN`` before the first event."""

    seq: int
    events: list[tuple[int, bytes]]
    is_claimed: bool = False
    """True if the epoch is the claimed one, by its own name or by a promised one."""


class Streams:
    """Streams of all topics. Every call raises ``REDIS_AWAY`` if Redis is away."""

    def __init__(self, clients: RedisClients) -> None:
        self._keys: Keys = clients.keys
        self._publish = clients.script(_PUBLISH)
        self._read = clients.script(_READ)
        self._promise = clients.script(_PROMISE)

    async def publish(
        self, name: str, payloads: list[bytes], *, sender: str, batch: int, history: int, lost: int = 0
    ) -> None:
        """Number, store and fan out events, in order.

        Args:
            name: Canonical name of the topic.
            payloads: Encoded events.
            sender: Id of the publisher; with ``batch``, it makes a retry harmless.
            batch: Number that this sender has not used before.
            history: Number of events to keep.
            lost: Number of newer events that will never come, which leave a hole.
        """
        await self._publish(
            keys=[*self._keys_of(name), self._keys.topic(name, f"sent:{sender}"), self._keys.topic_channel(name)],
            args=[uuid4().hex, history, batch, lost, RETENTION, *payloads],
        )

    async def read(
        self, name: str, since: int | None = None, *, is_seen: bool = False, claimed: str = UNBORN
    ) -> Snapshot:
        """Read the topic, with the events after ``since``. Writes nothing for a topic that has had no event.

        Args:
            name: Canonical name of the topic.
            since: A number; ``None`` for no events.
            is_seen: True if this worker itself has had the event ``since``, so that it is not a client's claim. If the
                topic's counter is lower, Redis has lost events, and a new epoch begins.
            claimed: Epoch that a client has kept.
        """
        epoch, seq, entries, is_claimed = await self._read(
            keys=self._keys_of(name),
            args=[uuid4().hex, "" if since is None else since, int(is_seen), claimed],
        )
        events = [(int(entry_id.partition(b"-")[0]), fields[1]) for entry_id, fields in entries]
        return Snapshot(epoch.decode(), seq, events, bool(is_claimed))

    async def promise(self, name: str, epoch: str, promised: str) -> None:
        """Make ``promised``, which clients got before the first event, another name of the first epoch.

        Does nothing if the topic has begun another epoch meanwhile.
        """
        await self._promise(keys=self._keys_of(name), args=[epoch, promised])

    def _keys_of(self, name: str) -> list[str]:
        return [self._keys.topic(name, "meta"), self._keys.topic(name, "events")]


def parse_message(message: bytes) -> tuple[str, int, bytes]:
    """Split a message of the publishing script into epoch, number and payload."""
    epoch, seq, payload = message.split(b" ", 2)
    return epoch.decode(), int(seq), payload
