"""What Redis' faults mean."""

from typing import Any, Final

from redis import exceptions
from structlog.typing import FilteringBoundLogger

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


def log_fault(log: FilteringBoundLogger, event: str, error: Exception, **fields: Any) -> None:
    """Log the failure of a loop that tries again: a warning while Redis is away, a fault of the program with its trace.

    Args:
        log: Writes the line.
        event: Its event.
        error: Becomes ``cause`` of a warning.
        **fields: Of both lines.
    """
    if isinstance(error, REDIS_AWAY):
        log.warning(event, **fields, cause=repr(error))
    else:
        log.error(event, **fields, exc_info=error)
