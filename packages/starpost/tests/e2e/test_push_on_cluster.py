"""The tests of parameters, audiences and slow readers once more, on a cluster."""

import pytest

from tests.e2e.on_cluster import cluster, serve
from tests.e2e.test_push import (
    clients,
    nodes,
    test_audiences,
    test_history_is_as_long_as_declared,
    test_nothing_is_published_by_what_failed,
    test_one_stalled_reader_among_many,
    test_parameters_make_separate_topics,
    test_slow_readers,
)

__all__ = [
    "clients",
    "cluster",
    "nodes",
    "readers",
    "serve",
    "test_audiences",
    "test_history_is_as_long_as_declared",
    "test_nothing_is_published_by_what_failed",
    "test_one_stalled_reader_among_many",
    "test_parameters_make_separate_topics",
    "test_slow_readers",
]


@pytest.fixture
def readers() -> int:
    """Fewer: to Redis they are two workers and a topic, however many read there."""
    return 100
