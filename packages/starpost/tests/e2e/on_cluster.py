"""Fixtures that put a module's servers on a cluster of three shards, whatever they ask for otherwise."""

from collections.abc import Iterator

import pytest

from starpost.testing import Serve
from starpost.testing.launched import Launched
from starpost_dev.services import ValkeyCluster, ephemeral_valkey_cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[ValkeyCluster]:
    with ephemeral_valkey_cluster() as cluster:
        yield cluster
        # Not all of them: few names may happen to share a shard.
        assert any(int(node.command("DBSIZE")) for node in cluster.nodes), "the servers used something else"


@pytest.fixture(scope="module")
def serve(serve: Serve, cluster: ValkeyCluster) -> Serve:
    """Like the ``serve`` that it stands in for."""
    environ = {
        "REDIS_MODE": "cluster",
        "REDIS_NODES": ",".join(f"{host}:{port}" for host, port in cluster.addresses),
        "REDIS_PASSWORD": cluster.password,
    }

    def start(target: str | None = "tests.framework.probe:create", **others: str) -> Launched:
        return serve(target, **others | environ)

    return start
