"""What a fault of Redis means, to a client and to the log."""

import pytest
import structlog
from redis import exceptions
from structlog.testing import capture_logs

from starpost.errors import UnavailableError
from starpost.redis import log_fault, translate_redis

log = structlog.get_logger("of the caller")

AWAY = [
    exceptions.ConnectionError("no route"),
    exceptions.TimeoutError(),
    exceptions.ClusterDownError("CLUSTERDOWN"),
    exceptions.RedisClusterException(),
    exceptions.TryAgainError(),
]


@pytest.mark.parametrize("error", AWAY, ids=lambda error: type(error).__name__)
def test_a_server_that_is_away_is_unavailable(error: Exception) -> None:
    assert type(translate_redis(error)) is UnavailableError


@pytest.mark.parametrize("error", [exceptions.ResponseError("WRONGTYPE"), ConnectionError(), ValueError()])
def test_anything_else_is_no_refusal(error: Exception) -> None:
    """A wrong command is the program's fault, and an ``OSError`` may be anybody's."""
    assert translate_redis(error) is None


@pytest.mark.parametrize("error", [*AWAY, TimeoutError(), ConnectionRefusedError()], ids=lambda e: type(e).__name__)
def test_a_loop_warns_while_redis_is_away(error: Exception) -> None:
    with capture_logs() as lines:
        log_fault(log, "not_renewed", error, count=3)
    assert lines == [{"event": "not_renewed", "log_level": "warning", "count": 3, "cause": repr(error)}]


@pytest.mark.parametrize("error", [exceptions.ResponseError("WRONGTYPE"), ValueError("password")])
def test_a_fault_of_the_program_has_its_trace(error: Exception) -> None:
    with capture_logs() as lines:
        log_fault(log, "not_renewed", error, count=3)
    assert lines == [{"event": "not_renewed", "log_level": "error", "count": 3, "exc_info": error}]
