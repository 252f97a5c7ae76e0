"""Errors of Redis: groups to catch, and their translation into errors for clients."""

from typing import Any, Final

from redis import exceptions
from structlog.typing import FilteringBoundLogger

from starpost.errors import AppError, UnavailableError

REDIS_AWAY: Final = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.ClusterDownError,
    exceptions.ClusterError,
    # Not a RedisError: no node of the cluster answers, or none has the slot.
    exceptions.RedisClusterException,
    exceptions.TryAgainError,
    OSError,
)
"""Errors raised when a server or a shard is away or cannot be reached. A later try may succeed."""

REDIS_FAULTS: Final = (*REDIS_AWAY, exceptions.RedisError)
"""``REDIS_AWAY`` and all errors of a server that may pass: no memory, a full disk, an account that is being changed.
For loops that must not end."""


def translate_redis(error: BaseException) -> AppError | None:
    """Return the refusal for an error of Redis; ``None`` if Redis is not away, or the error is not from Redis."""
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
