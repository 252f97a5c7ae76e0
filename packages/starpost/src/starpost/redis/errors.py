"""What Redis' faults mean."""

from typing import Final

from redis import exceptions

from starpost.errors import AppError, UnavailableError

REDIS_AWAY: Final = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.ClusterDownError,
    exceptions.ClusterError,
    # Not a RedisError: no node of the cluster answers, or nobody has the slot.
    exceptions.RedisClusterException,
    exceptions.TryAgainError,
    OSError,
)
"""Raised when a server, a shard or the way to it is away: a later try may succeed."""

REDIS_FAULTS: Final = (*REDIS_AWAY, exceptions.RedisError)
"""With what a server refuses for a while: no memory, a disk that is full, an account that is being changed. For loops
that must not end."""


def translate_redis(error: BaseException) -> AppError | None:
    """The refusal for a fault of Redis; ``None`` if it is none of that kind."""
    if isinstance(error, exceptions.RedisError | exceptions.RedisClusterException):
        return UnavailableError("Redis is away") if isinstance(error, REDIS_AWAY) else None
    return None
