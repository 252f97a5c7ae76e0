"""Lua scripts, on one server or on the shards of a cluster.

redis-py's own ``Script`` loads a script that a server does not know into *all* servers: one shard that is away would
keep every other one from running it. This one hands the text to the server that asks for it.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from redis.asyncio import Redis, RedisCluster
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, SlotNotCoveredError

MAX_RUNNING: Final = 50
"""Scripts that run at once on one server, for one worker. More callers wait: clients of a cluster and of Sentinel have
no queue of their own, they raise when their connections are used up, as when thousands of clients come back and read
what they missed."""

Argument: TypeAlias = str | bytes | int | float


class Gates:
    """Bounds what runs at once on each server, so that a slow shard holds up its own callers only."""

    def __init__(self) -> None:
        self._gates: dict[str, asyncio.Semaphore] = {}

    def of(self, node: str) -> asyncio.Semaphore:
        """The gate of one server."""
        return self._gates.setdefault(node, asyncio.Semaphore(MAX_RUNNING))


class Script:
    """One script; made by ``RedisClients.script``.

    Args:
        client: Where it runs.
        text: In Lua.
        gates: Of the client.
    """

    def __init__(self, client: "Redis | RedisCluster", text: str, gates: Gates) -> None:
        self._client: Any = client
        self._text = text
        # The name that the protocol gives to a script; no secret hangs on it.
        self._sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        self._gates = gates

    async def __call__(self, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """Run it.

        Args:
            keys: What it touches; on a cluster all in one slot.
            args: The rest.

        Raises:
            redis.exceptions.RedisError: What the server or the way to it raises; ``REDIS_AWAY`` among it.
        """
        if not isinstance(self._client, RedisCluster):
            async with self._gates.of(f"database {id(self._client)}"):
                return await self._run(keys, args)
        async with self._gates.of(await self._node_of(keys[0])):
            try:
                return await self._run(keys, args)
            except (AttributeError, RuntimeError, TypeError) as error:
                # When the cluster is down, redis-py 8.1 closes all connections, those that others are using too. Who is
                # about to write then finds no stream, or a closed transport, which says so in its own way: uvloop's by
                # a RuntimeError, asyncio's in Python 3.13 by a TypeError.
                raise RedisConnectionError(f"the connection was closed while it was used: {error!r}") from error

    async def _node_of(self, key: str) -> str:
        await self._client.initialize()
        try:
            return str(self._client.get_node_from_key(key).name)
        except SlotNotCoveredError:
            # The client looks again only after a command has failed, and without a server there is none to send.
            await self._client.nodes_manager.initialize()
            return str(self._client.get_node_from_key(key).name)

    async def _run(self, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        try:
            return await self._client.evalsha(self._sha, len(keys), *keys, *args)
        except NoScriptError:
            return await self._client.eval(self._text, len(keys), *keys, *args)
