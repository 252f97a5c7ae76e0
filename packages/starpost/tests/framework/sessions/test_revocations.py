"""Revocations of several workers that share a real Redis; their sockets are in ``packages/starpost/tests/e2e``."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, suppress
from uuid import uuid4

import msgspec
import pytest
from litestar.routes import HTTPRoute

from starpost.auth.logout_token import Logout
from starpost.auth.principal import Principal
from starpost.auth.revocation import MemoryRevocationList, Revocation
from starpost.connections.hub import ConnectionHub
from starpost.errors import UnavailableError
from starpost.observability.security_log import SecurityLog
from starpost.redis import RedisClients
from starpost.sessions.registry import ConnectionEntry
from starpost.sessions.revocation_store import RevocationStore
from starpost.sessions.revocations import Revocations
from starpost.sessions.routes import connection_routes
from starpost.settings import Settings
from starpost.topics import Broker
from starpost_dev.services.ephemeral import ephemeral_valkey
from starpost_dev.services.valkey import Valkey
from tests.framework.hanging import hanging

LEEWAY = 2.0


class Worker:
    """What one worker has of it."""

    def __init__(self, settings: Settings) -> None:
        self.clients = RedisClients(settings)
        self.broker = Broker(self.clients)
        self.memory = MemoryRevocationList(is_known=False)
        self.store = RevocationStore(self.clients)
        self.revocations = Revocations(
            self.memory,
            self.store,
            self.broker,
            ConnectionHub(heartbeat=30, heartbeat_timeout=10),
            SecurityLog(lambda _: None),
            max_lifetime=600,
            leeway=LEEWAY,
        )

    async def start(self, stack: AsyncExitStack) -> None:
        stack.push_async_callback(self.clients.close)
        await self.broker.start()
        stack.push_async_callback(self.broker.stop)
        await self.revocations.start()
        stack.push_async_callback(self.revocations.stop)

    async def ready(self) -> None:
        await until(self.is_ready)

    async def is_ready(self) -> bool:
        with suppress(UnavailableError):
            await self.revocations.check()
            return True
        return False


async def until(is_right: Callable[[], object]) -> None:
    deadline = time.monotonic() + 100
    while True:
        found = is_right()
        if await found if asyncio.iscoroutine(found) else found:
            return
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    """A server for this module alone: it is stopped."""
    with ephemeral_valkey() as running:
        yield running


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def settings(valkey: Valkey) -> Settings:
    """Of an application of its own."""
    return Settings.from_strings({**valkey.endpoint.environment(), "REDIS_PREFIX": uuid4().hex})


@pytest.fixture
async def workers(settings: Settings, stack: AsyncExitStack) -> list[Worker]:
    made = [Worker(settings), Worker(settings)]
    for worker in made:
        await worker.start(stack)
    for worker in made:
        await worker.ready()
    return made


def principal(user: str = "alice", *, session: str | None = "s1", issued_at: float | None = None) -> Principal:
    return Principal(
        user_id=f"{user}-id",
        username=user,
        roles=frozenset(),
        issued_at=time.time() if issued_at is None else issued_at,
        expires_at=time.time() + 300,
        session_id=session,
    )


def logout(session: str | None = None, user: str | None = None, token_id: str | None = None) -> Logout:
    now = time.time()
    return Logout(
        token_id=token_id or uuid4().hex, session_id=session, user_id=user, issued_at=now, expires_at=now + 120
    )


async def test_a_session_ends_on_every_worker(workers: list[Worker]) -> None:
    one, two = workers
    assert await one.revocations.end_sessions(logout("s1", "alice-id"))
    assert one.memory.is_revoked(principal()), "where it came, at once"
    await until(lambda: two.memory.is_revoked(principal()))
    for worker in workers:
        assert worker.memory.is_revoked(principal(issued_at=time.time() + 60)), "the session has ended for good"
        assert not worker.memory.is_revoked(principal(session="s2")), "another session of hers has not"


async def test_all_sessions_of_a_user_end(workers: list[Worker]) -> None:
    one, two = workers
    before = principal(issued_at=time.time() - 1)
    assert await one.revocations.end_sessions(logout(None, "alice-id"))
    await until(lambda: two.memory.is_revoked(before))
    for worker in workers:
        assert not worker.memory.is_revoked(principal(issued_at=time.time() + 1)), "she may sign in again"
        assert not worker.memory.is_revoked(principal("bob", issued_at=time.time() - 1))


async def test_a_user_is_put_out_by_name(workers: list[Worker]) -> None:
    one, two = workers
    before = time.time()
    await one.revocations.end_user("Alice")
    await until(lambda: two.memory.is_revoked(principal(issued_at=before)))
    for worker in workers:
        ahead = principal(issued_at=before + LEEWAY - 0.1)
        assert worker.memory.is_revoked(ahead), "issued before, by a clock that is ahead"
        assert not worker.memory.is_revoked(principal(issued_at=time.time() + LEEWAY + 1))
        assert not worker.memory.is_revoked(principal("bob"))


async def test_a_logout_token_counts_once_on_all_workers(workers: list[Worker]) -> None:
    one, two = workers
    assert await one.revocations.end_sessions(logout("s1", token_id="j"))
    assert not await two.revocations.end_sessions(logout("s1", token_id="j"))


async def test_a_logout_that_was_noted_but_told_to_nobody_is_told_when_it_comes_again(workers: list[Worker]) -> None:
    """The worker that took it first died between the two."""
    one, two = workers
    ended = logout("s1", token_id="j")
    revocation = Revocation("session", "s1", 0.0, time.time() + 600)
    await one.store.add_once(revocation, "j", lifetime=60)

    assert not await one.revocations.end_sessions(ended), "the answer says that it came before"
    assert one.memory.is_revoked(principal())
    await until(lambda: two.memory.is_revoked(principal()))


class LossyRedis:
    """Forwards to a server. Told to, it lets the next script run and cuts the connection in place of its answer."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self.is_losing = False
        self.lost = 0

    async def start(self, stack: AsyncExitStack) -> int:
        """Listen until the stack is closed; returns the port."""
        listener = await asyncio.start_server(self._forward, "127.0.0.1", 0)
        stack.push_async_callback(listener.wait_closed)
        stack.callback(listener.close)
        return int(listener.sockets[0].getsockname()[1])

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_client = None
        server_reader, server_writer = await asyncio.open_connection(*self._server)
        try:
            to_client = asyncio.create_task(self._answers(server_reader, writer))
            while data := await reader.read(65536):
                if self.is_losing and b"EVAL" in data:
                    self.is_losing = False
                    to_client.cancel()
                    await asyncio.wait([to_client])
                    server_writer.write(data)
                    await server_reader.readline()
                    self.lost += 1
                    return
                server_writer.write(data)
        finally:
            if to_client is not None:
                to_client.cancel()
            writer.close()
            server_writer.close()

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)


async def test_a_lost_answer_of_redis_does_not_make_a_logout_one_that_came_before(
    workers: list[Worker], valkey: Valkey, settings: Settings, stack: AsyncExitStack
) -> None:
    """Redis ran the script, redis-py repeats it, and finds what the first run left."""
    endpoint = valkey.endpoint
    lossy = LossyRedis(endpoint.host, endpoint.port)
    behind = Worker(msgspec.structs.replace(settings, redis_port=await lossy.start(stack)))
    await behind.start(stack)
    await behind.ready()
    # The server knows the script from here on, so that the next run is one call.
    assert await behind.revocations.end_sessions(logout("s1"))
    await until(lambda: not behind.broker.waiting)
    lossy.is_losing = True

    assert await behind.revocations.end_sessions(logout("s2"))

    assert lossy.lost == 1
    assert behind.memory.is_revoked(principal(session="s2"))
    for worker in workers:
        await until(lambda worker=worker: worker.memory.is_revoked(principal(session="s2")))  # type: ignore[misc]


async def test_somebody_who_goes_away_takes_no_logout_back(workers: list[Worker], valkey: Valkey) -> None:
    one, two = workers
    with hanging(valkey):
        asking = asyncio.create_task(one.revocations.end_sessions(logout("s1")))
        await asyncio.sleep(0.05)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert one.memory.is_revoked(principal())
    await until(lambda: two.memory.is_revoked(principal()))


async def test_a_worker_that_starts_later_knows_before_it_serves(
    workers: list[Worker], settings: Settings, stack: AsyncExitStack
) -> None:
    await workers[0].revocations.end_sessions(logout("s1"))
    late = Worker(settings)
    await late.start(stack)
    assert late.memory.is_known
    assert late.memory.is_revoked(principal())


async def test_redis_away_and_back(
    workers: list[Worker], settings: Settings, stack: AsyncExitStack, valkey: Valkey
) -> None:
    one, two = workers
    await one.revocations.end_sessions(logout("s1"))
    await asyncio.to_thread(valkey.kill)
    try:
        with pytest.raises(UnavailableError):
            await one.revocations.end_sessions(logout("s2"))
        assert one.memory.is_revoked(principal(session="s2")), "heeded at once where it came"
        assert one.memory.is_revoked(principal(session="s1")), "what was known goes on"
        assert not await one.is_ready()
        starting = Worker(settings)
        await starting.start(stack)
        assert not starting.memory.is_known, "it cannot judge anybody"
        assert not await starting.is_ready()
    finally:
        await asyncio.to_thread(valkey.start)
    await starting.ready()
    for worker in (two, starting):
        await until(lambda worker=worker: worker.memory.is_revoked(principal(session="s2")))  # type: ignore[misc]
        assert worker.memory.is_revoked(principal(session="s1"))
    await one.ready()
    assert {revocation.name for revocation in await one.store.load()} == {"s1", "s2"}


async def test_what_redis_did_not_have_is_told_once_more(workers: list[Worker]) -> None:
    """The first time it was told, the other may not have joined again; it may have read before this was stored."""
    one, two = workers
    one.memory.add(Revocation("session", "s3", 0.0, time.time() + 600))
    one.revocations._read_anew()
    await until(lambda: two.memory.is_revoked(principal(session="s3")))


async def test_redis_that_lost_its_data_gets_it_back(
    workers: list[Worker], settings: Settings, stack: AsyncExitStack, valkey: Valkey
) -> None:
    await workers[0].revocations.end_sessions(logout("s1"))
    await asyncio.to_thread(valkey.kill)
    for file in (valkey.folder / "appendonlydir").iterdir():
        file.unlink()
    await asyncio.to_thread(valkey.start)
    for worker in workers:
        await worker.ready()
    late = Worker(settings)
    await late.start(stack)
    assert late.memory.is_revoked(principal())


async def test_what_another_worker_says_is_not_trusted_blindly(workers: list[Worker]) -> None:
    one, two = workers
    for nonsense in (None, 7, ["planet", "s1", 0, 0], ["session"], {"kind": "session"}):
        one.broker.tell("revoked", nonsense, about=repr(nonsense))
        one.broker.tell("close", nonsense, about=repr(nonsense))
    await one.revocations.end_sessions(logout("s1"))
    await until(lambda: two.memory.is_revoked(principal()))
    await two.ready()


class SlowKeycloak:
    """Ends sessions a minute after it was asked."""

    def __init__(self) -> None:
        self.now = time.time()
        self.is_away = False

    async def end_sessions(self, username: str) -> None:
        assert username == "alice"
        if self.is_away:
            raise UnavailableError("away")
        self.now += 60


class NoSessions:
    """A registry in which nobody is connected."""

    async def entries(self) -> list[ConnectionEntry]:
        return []


@pytest.fixture
def keycloak() -> SlowKeycloak:
    return SlowKeycloak()


def sign_out(worker: Worker, keycloak: SlowKeycloak) -> Awaitable[None]:
    """What ``DELETE /connections?user=alice&sign_out=true`` does."""
    worker.revocations._clock = lambda: keycloak.now
    router = connection_routes(NoSessions(), worker.revocations, keycloak, default_page_size=20)  # type: ignore[arg-type]
    handlers = [handler for route in router.routes if isinstance(route, HTTPRoute) for handler in route.route_handlers]
    (handler,) = [one for one in handlers if one.fn.__name__ == "close_connections_of_user"]
    called: Awaitable[None] = handler.fn(user="alice", sign_out=True)
    return called


async def test_what_keycloak_issued_until_the_sessions_had_ended_is_refused(
    workers: list[Worker], keycloak: SlowKeycloak
) -> None:
    one, two = workers
    asked_at = keycloak.now
    await sign_out(one, keycloak)

    refreshed_meanwhile = principal(issued_at=asked_at + 59)
    assert one.memory.is_revoked(refreshed_meanwhile)
    await until(lambda: two.memory.is_revoked(refreshed_meanwhile))
    assert not one.memory.is_revoked(principal(issued_at=asked_at + 60 + LEEWAY + 1)), "signed in again"


async def test_the_tokens_stay_refused_when_keycloak_is_away(workers: list[Worker], keycloak: SlowKeycloak) -> None:
    one, two = workers
    before = principal(issued_at=keycloak.now)
    keycloak.is_away = True
    with pytest.raises(UnavailableError, match="tokens refused"):
        await sign_out(one, keycloak)
    assert one.memory.is_revoked(before)
    await until(lambda: two.memory.is_revoked(before))
