"""Store of revocations in Redis, for workers that start later or missed a message."""

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
"""KEYS: the revocations, and the id of a logout token, which may be used once. Both are written or neither: Keycloak
could not repeat a logout whose id is stored but whose revocation was lost with the server.

ARGV: seconds for which the id is kept, the mark of this call, then for each revocation its expiry and itself. The mark
identifies a call that redis-py repeats because the first answer was lost.
"""

_LOAD: Final = """
return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. redis.call('TIME')[1], '+inf', 'WITHSCORES')
"""

_Member = tuple[str, str, float]


class RevocationStore:
    """Store of revocations, ordered by expiry, on Redis' clock.

    Args:
        clients: Clients of Redis.
    """

    def __init__(self, clients: RedisClients) -> None:
        self._keys = clients.keys
        self._add = clients.script(_ADD, database="auth")
        self._load = clients.script(_LOAD, database="auth")

    async def add(self, revocations: Iterable[Revocation]) -> None:
        """Store revocations until they expire. Storing one again does no harm.

        Raises:
            redis.exceptions.RedisError: Redis is away.
        """
        for batch in _batches(revocations):
            await self._add(keys=[self._entries], args=[0, "", *_arguments(batch)])

    async def add_once(self, revocation: Revocation, token_id: str, *, lifetime: int) -> bool:
        """Store the revocation of a logout token, and the token's ``jti``.

        Args:
            revocation: Revocation that the token asks for.
            token_id: ``jti`` of the token.
            lifetime: Seconds for which the ``jti`` is kept: as long as the token is valid.

        Returns:
            True if the token is new. The revocation is stored in either case: the token is valid, and storing it again
            does no harm.

        Raises:
            redis.exceptions.RedisError: Redis is away; both are stored, or neither.
        """
        # Hashed, because the sender chooses the id, and its length.
        key = self._keys.revocations(f"token:{sha256(token_id.encode()).hexdigest()}")
        args = [max(1, lifetime), uuid4().hex, *_arguments([revocation])]
        return bool(await self._add(keys=[self._entries, key], args=args))

    async def load(self) -> list[Revocation]:
        """Return all revocations that have not expired.

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
