"""The revocations of all workers in Redis, for those that start later or did not listen."""

from collections.abc import Iterable
from hashlib import sha256
from typing import Final
from uuid import uuid4

import msgspec

from starpost.auth.revocation import Revocation
from starpost.redis import RedisClients

BATCH: Final = 500

_ADD: Final = """
local now = tonumber(redis.call('TIME')[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local is_new = 1
if #KEYS > 1 and not redis.call('SET', KEYS[2], ARGV[2], 'NX', 'EX', ARGV[1]) then
  is_new = redis.call('GET', KEYS[2]) == ARGV[2] and 1 or 0
end
for i = 3, #ARGV, 2 do
  redis.call('ZADD', KEYS[1], 'GT', ARGV[i], ARGV[i + 1])
end
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
if last[2] then
  redis.call('EXPIREAT', KEYS[1], math.ceil(last[2]))
end
return is_new
"""
"""KEYS: the revocations, and the id of a logout token that counts once. Both or neither: a logout that is noted as
done, but whose revocation was lost with the server, could not be sent again.

ARGV: seconds for which the id is kept, the mark of this call, then until when each revocation is needed, and itself.
By the mark a call that redis-py repeats, because the first answer was lost, knows itself again.
"""

_LOAD: Final = """
return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. redis.call('TIME')[1], '+inf', 'WITHSCORES')
"""

_Member = tuple[str, str, float]


class RevocationStore:
    """Revocations by the time until which they are needed; Redis' clock says when that is over.

    Args:
        clients: The way to Redis.
    """

    def __init__(self, clients: RedisClients) -> None:
        self._keys = clients.keys
        self._add = clients.script(_ADD, database="auth")
        self._load = clients.script(_LOAD, database="auth")

    async def add(self, revocations: Iterable[Revocation]) -> None:
        """Keep them until they are no longer needed; those that are there already do no harm.

        Raises:
            redis.exceptions.RedisError: Redis is away.
        """
        for batch in _batches(revocations):
            await self._add(keys=[self._entries], args=[0, "", *_arguments(batch)])

    async def add_once(self, revocation: Revocation, token_id: str, *, lifetime: int) -> bool:
        """Keep one, and note that a token with this ``jti`` has been taken.

        Args:
            revocation: What the token says.
            token_id: Its ``jti``.
            lifetime: Seconds for which the ``jti`` is remembered: as long as the token could come again.

        Returns:
            Whether it was taken for the first time. The revocation is kept in either case: the token is good, and
            saying once more what it says does no harm.

        Raises:
            redis.exceptions.RedisError: Redis is away; nothing, or both, is kept.
        """
        # Hashed: the id is the sender's to choose, and of any length.
        key = self._keys.revocations(f"token:{sha256(token_id.encode()).hexdigest()}")
        args = [max(1, lifetime), uuid4().hex, *_arguments([revocation])]
        return bool(await self._add(keys=[self._entries, key], args=args))

    async def load(self) -> list[Revocation]:
        """All that are needed now.

        Raises:
            redis.exceptions.RedisError: Redis is away.
        """
        found = await self._load(keys=[self._entries], args=[])
        revocations = []
        for member, until in zip(found[::2], found[1::2], strict=True):
            kind, name, issued_before = msgspec.json.decode(member, type=_Member)
            content = (kind, name, issued_before, float(until))
            revocations.append(msgspec.convert(content, Revocation))
        return revocations

    @property
    def _entries(self) -> str:
        return self._keys.revocations("entries")


def _batches(revocations: Iterable[Revocation]) -> Iterable[list[Revocation]]:
    waiting = list(revocations)
    return (waiting[start : start + BATCH] for start in range(0, len(waiting), BATCH))


def _arguments(revocations: Iterable[Revocation]) -> list[float | bytes]:
    arguments: list[float | bytes] = []
    for revocation in revocations:
        member: _Member = (revocation.kind, revocation.name, revocation.issued_before)
        arguments += [revocation.until, msgspec.json.encode(member)]
    return arguments
