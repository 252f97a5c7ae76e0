"""Sentinels that ask for a password, and are reached through TLS, as is the primary that they name."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.exceptions import RedisError

from starpost.redis import RedisClients
from starpost.settings import Settings
from starpost_dev.services import Valkey, ephemeral_valkey
from tests.e2e.sentinel import NAME, PASSWORD, sentinel
from tests.framework.db.front import both_ways, pipe
from tests.framework.db.tls_front import Authority


class EitherFront:
    """Passes on to a server that speaks no TLS: what comes through TLS, and what does not.

    The suite's Valkey was built without TLS. A sentinel watches the primary where clients find it, and so by this port;
    it comes without TLS.
    """

    def __init__(self, context: ssl.SSLContext, port: int) -> None:
        self._context = context
        self._target = port
        self.port = 0
        self.encrypted = 0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["EitherFront"]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            self.port = listener.getsockname()[1]
            async with asyncio.TaskGroup() as group:
                accepting = group.create_task(self._accept(listener, group))
                yield self
                accepting.cancel()
                for connection in self._connections:
                    connection.cancel()

    async def _accept(self, listener: socket.socket, group: asyncio.TaskGroup) -> None:
        self._connections: set[asyncio.Task[None]] = set()
        while True:
            accepted, _ = await asyncio.get_running_loop().sock_accept(listener)
            task = group.create_task(self._pass_on(accepted))
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)

    async def _pass_on(self, accepted: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(accepted, readable.set)
        await readable.wait()
        loop.remove_reader(accepted)
        # https://www.rfc-editor.org/rfc/rfc8446#section-5.1: a handshake's record begins with 22.
        is_tls = accepted.recv(1, socket.MSG_PEEK) == b"\x16"
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        try:
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol, accepted, ssl=self._context if is_tls else None
            )
        except (ssl.SSLError, ConnectionError):
            return
        self.encrypted += is_tls
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            await both_ways(pipe(reader, to_writer), pipe(to_reader, writer))
        finally:
            writer.close()
            to_writer.close()


@pytest.fixture(scope="module")
def primary() -> Iterator[Valkey]:
    with ephemeral_valkey() as running:
        yield running


@asynccontextmanager
async def reached(primary: Valkey, folder: Path) -> AsyncIterator[tuple[EitherFront, EitherFront, dict[str, str]]]:
    """The fronts of the primary and of a sentinel, and the settings for them."""
    authority = Authority(folder)
    context = authority.server("127.0.0.1")
    async with EitherFront(context, primary.port).serving() as of_primary:
        watching = sentinel(of_primary.port, primary.password)
        port = await asyncio.to_thread(watching.__enter__)
        try:
            async with EitherFront(context, port).serving() as of_sentinel:
                yield (
                    of_primary,
                    of_sentinel,
                    {
                        "REDIS_MODE": "sentinel",
                        "REDIS_NODES": f"127.0.0.1:{of_sentinel.port}",
                        "REDIS_SENTINEL_MASTER": NAME,
                        "REDIS_SENTINEL_PASSWORD": PASSWORD,
                        "REDIS_PASSWORD": primary.password,
                        "REDIS_TLS": "true",
                        "REDIS_TLS_CA": str(authority.file),
                    },
                )
        finally:
            await asyncio.to_thread(watching.__exit__, None, None, None)


async def ping(environ: dict[str, str]) -> None:
    clients = RedisClients(Settings.from_strings(environ))
    try:
        await clients.ping()
        place = (await clients.places())("any")
        assert place is not None
        async with clients.subscriber(place) as subscriber:
            assert await subscriber.ping()
    finally:
        await clients.close()


async def test_sentinels_are_asked_with_their_own_password_and_through_tls(primary: Valkey, tmp_path: Path) -> None:
    async with reached(primary, tmp_path) as (of_primary, of_sentinel, environ):
        await ping(environ)
        assert of_sentinel.encrypted
        assert of_primary.encrypted
        for change in (
            {"REDIS_SENTINEL_PASSWORD": ""},
            {"REDIS_SENTINEL_PASSWORD": primary.password},
            {"REDIS_SENTINEL_USERNAME": "nobody"},
            # Another authority's certificate: the system's know nothing of this one.
            {"REDIS_TLS_CA": ""},
        ):
            with pytest.raises(RedisError):
                await ping(environ | change)
        # The sentinel's password opens nothing of the primary.
        with pytest.raises(RedisError):
            await ping(environ | {"REDIS_PASSWORD": PASSWORD})
