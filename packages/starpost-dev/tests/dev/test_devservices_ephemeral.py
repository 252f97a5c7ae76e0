"""Throw-away servers: killed and started again at their address, gone with their owner."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from redis.cluster import ClusterNode, RedisCluster

from starpost_dev.services import ServiceError, ephemeral_postgres, ephemeral_services, ephemeral_valkey_cluster
from starpost_dev.services.endpoints import PostgresEndpoint
from starpost_dev.services.processes import descendants
from starpost_dev.services.resp import CommandError, command
from starpost_dev.services.services import Services
from tests.dev.checkouts import finish, is_running, new_checkout, read_line, wait_for


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    with ephemeral_services() as running:
        yield running


async def connect(at: PostgresEndpoint) -> asyncpg.Connection[asyncpg.Record]:
    return await asyncpg.connect(host=at.host, port=at.port, user=at.user, password=at.password, database=at.database)


async def test_postgres_comes_back_from_a_crash_at_its_address(services: Services) -> None:
    before = services.environment()
    client = await connect(services.postgres.endpoint)
    await client.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    services.postgres.kill()
    assert not services.postgres.is_running
    with pytest.raises((asyncpg.PostgresConnectionError, OSError)):
        await client.fetchval("SELECT 1")
    with pytest.raises(OSError, match="Connect call failed"):
        await connect(services.postgres.endpoint)
    services.postgres.start()
    assert services.environment() == before
    client = await connect(services.postgres.endpoint)
    try:
        assert await client.fetchval("SELECT answer FROM kept") == 42
        # Throw-away data needs no flushes.
        assert await client.fetchval("SHOW fsync") == "off"
    finally:
        await client.close()


def test_valkey_comes_back_from_a_stop_with_its_data(services: Services) -> None:
    before = services.environment()
    services.valkey.command("SET", "kept", "42")
    services.valkey.restart()
    assert services.environment() == before
    assert services.valkey.command("GET", "kept") == "42"
    services.valkey.kill()
    with pytest.raises(OSError, match="refused"):
        services.valkey.command("PING")
    services.valkey.start()
    assert services.valkey.command("PING") == "PONG"


def test_a_server_keeps_its_port_and_says_when_it_cannot(services: Services) -> None:
    services.valkey.stop()
    with socket.create_server(("127.0.0.1", services.valkey.port)), pytest.raises(ServiceError, match="is taken"):
        services.valkey.start()
    services.valkey.start()
    assert services.valkey.command("PING") == "PONG"


def test_a_set_without_the_realm_has_none(services: Services) -> None:
    assert "KEYCLOAK_BASE_URL" not in services.environment()
    with pytest.raises(ServiceError, match="runs no identity service"):
        _ = services.identity


async def test_settings_go_to_the_server() -> None:
    with ephemeral_postgres({"max_connections": "7"}) as server:
        client = await connect(server.endpoint)
        try:
            assert await client.fetchval("SHOW max_connections") == "7"
            assert await client.fetchval("SHOW fsync") == "on"
        finally:
            await client.close()


def test_a_cluster_loses_a_node_and_gets_it_back() -> None:
    with ephemeral_valkey_cluster() as cluster:
        nodes = [
            ClusterNode(host, port)  # type: ignore[no-untyped-call] # redis-py's own
            for host, port in cluster.addresses
        ]
        with RedisCluster(startup_nodes=nodes, password=cluster.password, decode_responses=True) as client:
            keys = [f"key{number}" for number in range(32)]
            for key in keys:
                client.set(key, key)
            assert {client.get_node_from_key(key).port for key in keys} == {port for _, port in cluster.addresses}
        lost = cluster.nodes[1]
        lost.kill()
        # The others go on with what they have.
        assert sum(_has(key, cluster.nodes[0].port, cluster.password) for key in keys) > 0
        cluster.start_node(1)
        with RedisCluster(startup_nodes=nodes, password=cluster.password, decode_responses=True) as client:
            assert [client.get(key) for key in keys] == keys


def _has(key: str, port: int, password: str) -> bool:
    try:
        return bool(command(("127.0.0.1", port), password, "GET", key) == key)
    except CommandError:
        return False


OWNER = """
import json, time
from starpost_dev.services import ephemeral_services
with ephemeral_services(realm=True) as services:
    pids = services.processes
    print(json.dumps({"folder": str(services.state.path), "pids": list(pids.values())}), flush=True)
    time.sleep(600)
"""


def test_nothing_is_left_of_a_killed_owner() -> None:
    with new_checkout() as checkout:
        owner = checkout.start("-c", OWNER)
        made = json.loads(read_line(owner.stdout))
        assert len(made["pids"]) == 3
        assert all(map(is_running, made["pids"]))
        finish(owner, signal.SIGKILL)
        assert wait_for(lambda: not any(map(is_running, made["pids"])) and not Path(made["folder"]).exists())


def test_nothing_is_left_of_an_owner_that_is_interrupted_while_it_starts() -> None:
    with new_checkout() as checkout:
        owner = checkout.start("-c", OWNER)
        assert wait_for(lambda: any(process.has(["initdb"]) for process in descendants(owner.pid)))
        finish(owner, signal.SIGINT)
        assert wait_for(lambda: not checkout.processes())
