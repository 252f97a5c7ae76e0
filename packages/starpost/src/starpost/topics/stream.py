"""A topic in Redis: a counter, an epoch, and a stream of its last events.

An event's offset is a number that grows by one per topic, so that whoever sees two of them knows how many are between.
The epoch is the life of that counter: when Redis has lost it, a new one begins under another epoch, and offsets of the
old one mean nothing. Number, history and fan-out are one script: no order but one, and no event in one but not in the
other.
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
"""The epoch of a topic that has had no event since Redis knows of it."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A topic at one moment: its epoch, its last number, and the events behind the number that was asked for."""

    epoch: str
    """``UNBORN`` before the first event."""

    seq: int
    events: list[tuple[int, bytes]]
    is_claimed: bool = False
    """Whether the epoch is the one that was claimed, by its own name or by one that was promised for it."""


class Streams:
    """Publishes to topics and reads their history. Every call raises ``REDIS_AWAY`` when Redis is."""

    def __init__(self, clients: RedisClients) -> None:
        self._keys: Keys = clients.keys
        self._publish = clients.script(_PUBLISH)
        self._read = clients.script(_READ)
        self._promise = clients.script(_PROMISE)

    async def publish(
        self, name: str, payloads: list[bytes], *, sender: str, batch: int, history: int, lost: int = 0
    ) -> None:
        """Number, keep and fan out events, in order.

        Args:
            name: The topic's canonical name.
            payloads: Encoded events.
            sender: Who publishes; with ``batch``, what makes a retry harmless.
            batch: A number that this sender has not used before.
            history: Events to keep.
            lost: Newer events that will never come; they leave a hole.
        """
        await self._publish(
            keys=[*self._keys_of(name), self._keys.topic(name, f"sent:{sender}"), self._keys.topic_channel(name)],
            args=[uuid4().hex, history, batch, lost, RETENTION, *payloads],
        )

    async def read(
        self, name: str, since: int | None = None, *, is_seen: bool = False, claimed: str = UNBORN
    ) -> Snapshot:
        """The topic now, with the events behind ``since``. Writes nothing for a topic that has had no event.

        Args:
            name: The topic's canonical name.
            since: A number; ``None`` asks for no events.
            is_seen: This worker itself has had the event ``since``, it is no client's claim. When the topic does not
                reach so far, it has lost events, and a new epoch begins.
            claimed: The epoch that a client kept.
        """
        epoch, seq, entries, is_claimed = await self._read(
            keys=self._keys_of(name),
            args=[uuid4().hex, "" if since is None else since, int(is_seen), claimed],
        )
        events = [(int(entry_id.partition(b"-")[0]), fields[1]) for entry_id, fields in entries]
        return Snapshot(epoch.decode(), seq, events, bool(is_claimed))

    async def promise(self, name: str, epoch: str, promised: str) -> None:
        """Make ``promised``, which clients were given before the first event, another name of the epoch it began.

        Does nothing when the topic has begun another epoch meanwhile.
        """
        await self._promise(keys=self._keys_of(name), args=[epoch, promised])

    def _keys_of(self, name: str) -> list[str]:
        return [self._keys.topic(name, "meta"), self._keys.topic(name, "events")]


def parse_message(message: bytes) -> tuple[str, int, bytes]:
    """Epoch, number and payload of what the publishing script fans out."""
    epoch, seq, payload = message.split(b" ", 2)
    return epoch.decode(), int(seq), payload
