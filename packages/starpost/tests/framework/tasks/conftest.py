"""A Valkey for this folder alone, since it is restarted; and workers on it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from starpost.redis import RedisClients
from starpost.settings import Settings
from starpost_dev.services import Valkey, ephemeral_valkey

PATIENCE = 100.0


@pytest.fixture(scope="package")
def valkey() -> Iterator[Valkey]:
    with ephemeral_valkey() as server:
        yield server


@pytest.fixture
async def clients(valkey: Valkey) -> AsyncIterator[RedisClients]:
    async with connected(valkey) as clients:
        yield clients


@asynccontextmanager
async def connected(valkey: Valkey) -> AsyncIterator[RedisClients]:
    """What one worker has of Redis."""
    clients = RedisClients(
        Settings(redis_port=valkey.port, redis_password=valkey.password)  # type: ignore[arg-type]
    )
    yield clients
    await clients.close()


async def until(condition: Callable[[], Any], what: str) -> None:
    """Wait until it is true."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not condition():  # noqa: ASYNC110 - other tasks and processes change it
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"not within {PATIENCE} s: {what}") from None
