"""Clients of Redis: a single server, Sentinel or a cluster.

``main`` has topics and leases, ``auth`` has connections and revocations. They are two databases of one server, or two
sets of names on a cluster, which has only one database. ``places`` finds the server of a channel, for sharded pub/sub.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster, Sentinel, SSLConnection
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.crc import key_slot

from starpost.redis.keys import Keys
from starpost.redis.script import MAX_RUNNING, Gates, Script
from starpost.settings import Settings

Client: TypeAlias = "Redis | RedisCluster"

_CONNECT_SECONDS = 2.0
_ANSWER_SECONDS = 5.0
_MAX_CONNECTIONS = MAX_RUNNING + 10
"""Connections per worker and database. Further callers wait for a free one, where redis-py's own default raises."""


class Address(NamedTuple):
    """Address of one server."""

    host: str
    port: int


class RedisClients:
    """Clients of one application. They connect at the first use; close them in the loop that used them."""

    def __init__(self, settings: Settings) -> None:
        self.keys = Keys(settings.redis_prefix, settings.user_session_redis_key_prefix)
        self._settings = settings
        self._gates = Gates()
        self._sentinel: Sentinel | None = None
        self._cluster: RedisCluster | None = None
        self.main: Client
        self.auth: Client
        match settings.redis_mode:
            case "cluster":
                # A cluster has one database: the names in `Keys` keep the two apart.
                self._cluster = self.main = self.auth = self._make_cluster()
            case "sentinel":
                self._sentinel = self._make_sentinel()
                self.main = self._of_sentinel(self._sentinel, settings.main_redis_db)
                self.auth = self._of_sentinel(self._sentinel, settings.auth_redis_db)
            case _:
                self.main = self._single(settings.main_redis_db)
                self.auth = self._single(settings.auth_redis_db)

    @property
    def nodes(self) -> list[Address]:
        """Configured servers: ``REDIS_NODES``, or the single one."""
        settings = self._settings
        if not settings.redis_nodes:
            return [Address(settings.redis_ip, settings.redis_port)]
        return [Address(host, int(port)) for host, _, port in (node.rpartition(":") for node in settings.redis_nodes)]

    def script(self, text: str, *, database: Literal["main", "auth"] = "main") -> Script:
        """Make a Lua script that runs on one of the databases."""
        return Script(self.main if database == "main" else self.auth, text, self._gates)

    async def places(self, *, anew: bool = False) -> Callable[[str], Address | None]:
        """Return a function that finds the server of a sharded channel by the channel's name.

        It returns ``None`` for a channel that no server holds at the moment. On a cluster, the slots are read from the
        servers the first time only.

        Args:
            anew: Read them again, because the known ones have proved wrong.

        Raises:
            redis.exceptions.ConnectionError: and the rest of ``REDIS_AWAY``.
        """
        if self._cluster is not None:
            await self._cluster.initialize()
            if anew:
                await self._cluster.nodes_manager.initialize()
            return self._place_in_cluster
        if self._sentinel is not None:
            host, port = await self._sentinel.discover_master(self._settings.redis_sentinel_master)
            address = Address(host, port)
        else:
            address = self.nodes[0]
        return lambda _: address

    def _place_in_cluster(self, channel: str) -> Address | None:
        nodes_manager = self._cluster.nodes_manager  # type: ignore[union-attr]  # only used on a cluster
        nodes = nodes_manager.slots_cache.get(key_slot(channel.encode()))
        return Address(nodes[0].host, int(nodes[0].port)) if nodes else None

    def subscriber(self, address: Address) -> Redis:
        """Make a client of one server, for one pub/sub connection.

        It never reconnects by itself: the caller must notice the loss, to fetch the messages that it missed.
        """
        options = {"retry": Retry(NoBackoff(), 0), "socket_timeout": None, "health_check_interval": 0}
        # Of the third version's push messages, redis-py formats each one for its log, whether it is written or not.
        return Redis(host=address.host, port=address.port, protocol=2, **{**self._options(), **options})

    async def ping(self) -> None:
        """Make one round trip to each database, on a cluster to every primary.

        Raises:
            redis.exceptions.RedisError: A server does not answer.
        """
        await self.main.ping()
        if self.auth is not self.main:
            await self.auth.ping()

    async def close(self) -> None:
        """Close all connections."""
        await self.main.aclose()
        if self.auth is not self.main:
            await self.auth.aclose()
        if self._sentinel is not None:
            for sentinel in self._sentinel.sentinels:
                await sentinel.aclose()

    def _options(self) -> dict[str, Any]:
        settings = self._settings
        return {
            "username": settings.redis_username or None,
            "password": str(settings.redis_password) or None,
            "socket_connect_timeout": _CONNECT_SECONDS,
            "socket_timeout": _ANSWER_SECONDS,
            "socket_keepalive": True,
            "health_check_interval": 30,
            "client_name": "starpost",
            # Two more tries within a second: enough to replace a connection, but not to hide a restart of Redis, which
            # callers must notice.
            "retry": Retry(ExponentialWithJitterBackoff(cap=0.5, base=0.05), 2),
            **self._tls(),
        }

    def _tls(self) -> dict[str, Any]:
        settings = self._settings
        return {"ssl": True, "ssl_ca_certs": settings.redis_tls_ca or None} if settings.redis_tls else {}

    def _single(self, db: int) -> Redis:
        options = self._options()
        if options.pop("ssl", False):
            options["connection_class"] = SSLConnection
        host, port = self.nodes[0]
        pool = BlockingConnectionPool(
            host=host, port=port, db=db, max_connections=_MAX_CONNECTIONS, timeout=_ANSWER_SECONDS, **options
        )
        return Redis.from_pool(pool)

    def _make_sentinel(self) -> Sentinel:
        settings = self._settings
        # Sentinels have accounts of their own, so they never get the password of the data servers.
        account = {
            "username": settings.redis_sentinel_username or None,
            "password": str(settings.redis_sentinel_password) or None,
        }
        return Sentinel(  # type: ignore[no-untyped-call]
            [tuple(node) for node in self.nodes],
            sentinel_kwargs={
                "socket_connect_timeout": _CONNECT_SECONDS,
                "socket_timeout": _CONNECT_SECONDS,
                # If a sentinel does not answer, the next one is asked instead.
                "retry": Retry(NoBackoff(), 0),
                **account,
                **self._tls(),
            },
        )

    def _of_sentinel(self, sentinel: Sentinel, db: int) -> Redis:
        client: Redis = sentinel.master_for(
            self._settings.redis_sentinel_master, db=db, max_connections=_MAX_CONNECTIONS, **self._options()
        )
        return client

    def _make_cluster(self) -> RedisCluster:
        options = self._options()
        return RedisCluster(
            startup_nodes=[ClusterNode(host, port) for host, port in self.nodes],
            max_connections=_MAX_CONNECTIONS,
            # The loss of a shard must not make the keys of the others unavailable.
            require_full_coverage=False,
            # MOVED updates the slots anyway. By default, each fifth one closes all connections, those in use too.
            reinitialize_steps=0,
            **options,
        )
