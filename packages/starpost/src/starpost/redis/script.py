"""Lua scripts, on one server or on the shards of a cluster.

redis-py's ``Script`` loads a script that a server does not know into *all* servers, so it fails while one shard is
away. This one sends the text only to the server that needs it.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from redis.asyncio import Redis, RedisCluster
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, SlotNotCoveredError

MAX_RUNNING: Final = 50
"""Scripts that one worker runs at once on one server. Further callers wait. Without the limit, clients of a cluster and
of Sentinel would raise when all connections are in use, as when thousands of sockets return and fetch what they
missed."""

Argument: TypeAlias = str | bytes | int | float


class Gates:
    """Limits of running scripts, one per server, so that a slow shard delays only its own callers."""

    def __init__(self) -> None:
        self._gates: dict[str, asyncio.Semaphore] = {}

    def of(self, node: str) -> asyncio.Semaphore:
        """Return the limit of one server."""
        return self._gates.setdefault(node, asyncio.Semaphore(MAX_RUNNING))


class Script:
    """Lua script; made by ``RedisClients.script``.

    Args:
        client: Client that runs it.
        text: Source in Lua.
        gates: Limits of the client.
    """

    def __init__(self, client: "Redis | RedisCluster", text: str, gates: Gates) -> None:
        self._client: Any = client
        self._text = text
        # The protocol names a script by its SHA-1; nothing secret depends on it.
        self._sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        self._gates = gates

    async def __call__(self, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """Run the script, and return its result.

        Args:
            keys: Keys that the script uses; on a cluster all in one slot.
            args: Further arguments.

        Raises:
            redis.exceptions.RedisError: The server refuses, or cannot be reached (see ``REDIS_AWAY``).
        """
        if not isinstance(self._client, RedisCluster):
            async with self._gates.of(f"database {id(self._client)}"):
                return await self._run(keys, args)
        async with self._gates.of(await self._node_of(keys[0])):
            try:
                return await self._run(keys, args)
            except (AttributeError, RuntimeError, TypeError) as error:
                # When the cluster is down, redis-py 8.1 closes all connections, even those in use. A caller that is
                # about to write then finds no stream, or a closed transport, which uvloop reports by a RuntimeError and
                # asyncio, from Python 3.13 on, by a TypeError.
                raise RedisConnectionError(f"the connection was closed while it was used: {error!r}") from error

    async def _node_of(self, key: str) -> str:
        await self._client.initialize()
        try:
            return str(self._client.get_node_from_key(key).name)
        except SlotNotCoveredError:
            # The client reads the slots again only after a failed command, and without a server it can send none.
            await self._client.nodes_manager.initialize()
            return str(self._client.get_node_from_key(key).name)

    async def _run(self, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        try:
            return await self._client.evalsha(self._sha, len(keys), *keys, *args)
        except NoScriptError:
            return await self._client.eval(self._text, len(keys), *keys, *args)
