import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from starpost.db import Database, DatabaseStartError, Statements, UnitOfWork, translate
from starpost.errors import TimeoutExceededError, UnavailableError
from starpost.settings import Secret, Settings
from starpost_dev.services.ephemeral import ephemeral_postgres
from starpost_dev.services.postgres import Postgres
from tests.framework.db.conftest import Wire
from tests.framework.db.shelf import Shelf, ShelfView

Sleep = Callable[[Database, float], Coroutine[Any, Any, None]]


def changed(settings: Settings, **values: Any) -> Settings:
    return msgspec.structs.replace(settings, **values)


@asynccontextmanager
async def opened(settings: Settings, **options: Any) -> AsyncIterator[Database]:
    database = await Database(settings, **options).open()
    try:
        yield database
    finally:
        await database.close()


async def backends(database: Database, where: str) -> list[int]:
    """Backends other than the asking one that this condition holds for."""
    async with database.connection() as connection:
        rows = await connection.fetch(
            "SELECT pid FROM pg_stat_activity "
            f"WHERE datname = current_database() AND pid <> pg_backend_pid() AND {where}"
        )
    return [row["pid"] for row in rows]


async def until(condition: Callable[[], Awaitable[object]], patience: float = 100) -> None:
    async with asyncio.timeout(patience):
        while not await condition():  # noqa: ASYNC110 - PostgreSQL has no event for it
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("password", ["p@ss:/w?#rd&%41", "q\"uo'te\\", "späße 密码 🔑", " "])
async def test_connects_with_any_password(database: Database, settings: Settings, password: str) -> None:
    async with database.connection() as connection:
        quoted = password.replace("'", "''")
        await connection.execute(f"CREATE ROLE guest LOGIN PASSWORD '{quoted}'")
    try:
        async with opened(changed(settings, db_user="guest", db_password=Secret(password))) as guest:
            async with guest.connection() as connection:
                assert await connection.fetchval("SELECT current_user") == "guest"
            with pytest.raises(UnavailableError):
                await Database(changed(settings, db_user="guest", db_password=Secret(password + "x"))).ping()
    finally:
        async with database.connection() as connection:
            await connection.execute("DROP ROLE guest")


async def test_sets_limits_on_the_server(settings: Settings) -> None:
    async with opened(changed(settings, ws_max_timeout=7.5)) as database, database.connection() as connection:
        assert await connection.fetchval("SHOW statement_timeout") == "12500ms"
        assert await connection.fetchval("SHOW idle_in_transaction_session_timeout") == "12500ms"
        assert await connection.fetchval("SHOW application_name") == "starpost"
        assert await connection.fetchval("SHOW timezone") == "UTC"


async def test_making_one_connects_to_nothing(settings: Settings) -> None:
    Database(changed(settings, db_host="192.0.2.1", db_port=1))


async def test_open_gives_up_with_one_clear_error(settings: Settings, unused_tcp_port: int) -> None:
    unreachable = changed(
        settings,
        db_host="127.0.0.1",
        db_port=unused_tcp_port,
        db_password=Secret("the-password"),
        db_init_max_retries=2,
        db_init_retry_interval=0.001,
    )
    with capture_logs() as logs, pytest.raises(DatabaseStartError, match="not reached in 3 tries") as raised:
        await Database(unreachable).open()
    assert [line["attempt"] for line in logs] == [1, 2, 3]
    assert "the-password" not in f"{logs}{raised.value}"
    assert str(unused_tcp_port) in str(raised.value)


@pytest.mark.parametrize("change", [{"db_name": "missing"}, {"db_user": "nobody"}, {"db_host": "no.such.host.invalid"}])
async def test_open_retries_whatever_keeps_it_from_connecting(settings: Settings, change: dict[str, str]) -> None:
    wrong = changed(settings, db_init_max_retries=1, db_init_retry_interval=0.001, **change)
    with capture_logs() as logs, pytest.raises(DatabaseStartError):
        await Database(wrong).open()
    assert len(logs) == 2


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with ephemeral_postgres() as running:
        yield running


@pytest.fixture
def own_settings(server: Postgres) -> Settings:
    if not server.is_running:
        server.start()
    return Settings.from_strings(server.endpoint.environment() | {"DB_INIT_RETRY_INTERVAL": "0.05"})


async def test_open_waits_for_a_server_that_starts_later(server: Postgres, own_settings: Settings) -> None:
    await asyncio.to_thread(server.stop)
    database = Database(changed(own_settings, db_init_max_retries=400))
    opening = asyncio.create_task(database.open())
    await asyncio.sleep(0.2)
    assert not opening.done()
    await asyncio.to_thread(server.start)
    await asyncio.wait_for(opening, 100)
    await database.ping()
    await database.close()


async def test_a_restart_costs_no_request_of_an_idle_pool(server: Postgres, own_settings: Settings) -> None:
    async with opened(own_settings) as database:
        await asyncio.gather(*(database.ping() for _ in range(5)))
        await asyncio.to_thread(server.restart)
        for _ in range(8):
            await database.ping()
            async with UnitOfWork(database) as unit:
                assert await unit.session.scalar(text("SELECT 1")) == 1


async def test_a_server_that_is_away_is_unavailable(server: Postgres, own_settings: Settings) -> None:
    async with opened(own_settings) as database:
        running = [
            asyncio.create_task(query) for query in (sleep_in_session(database, 60), sleep_on_connection(database, 60))
        ]
        observer = Database(own_settings)
        await until(lambda: two_sleep(observer))
        await observer.close()
        await asyncio.to_thread(server.kill)
        lost = [error for error in await asyncio.gather(*running, return_exceptions=True) if error is not None]
        assert [type(translate(error)) for error in lost] == [UnavailableError, UnavailableError]
        for query in (sleep_in_session(database, 0), sleep_on_connection(database, 0), database.ping()):
            [error] = await asyncio.gather(query, return_exceptions=True)
            assert error is not None
            assert isinstance(translate(error), UnavailableError)
        await asyncio.to_thread(server.start)
        await database.ping()
        await sleep_in_session(database, 0)


async def two_sleep(observer: Database) -> bool:
    return len(await backends(observer, "query LIKE '%pg_sleep(60%'")) == 2


async def sleep_in_session(database: Database, seconds: float) -> None:
    async with UnitOfWork(database) as unit:
        await unit.session.execute(text(f"SELECT pg_sleep({seconds})"))


async def sleep_in_statement(database: Database, seconds: float) -> None:
    await database.fetch(f"SELECT pg_sleep({seconds})")


async def sleep_on_connection(database: Database, seconds: float) -> None:
    async with database.connection() as connection:
        await connection.execute(f"SELECT pg_sleep({seconds})")


@pytest.mark.parametrize("sleep", [sleep_in_session, sleep_on_connection, sleep_in_statement])
async def test_an_administrator_ending_the_backend_is_unavailable(
    settings: Settings, database: Database, sleep: Sleep
) -> None:
    async with opened(settings) as own:
        task = asyncio.create_task(sleep(own, 61))
        await until(lambda: backends(database, "query LIKE '%pg_sleep(61%'"))
        async with database.connection() as connection:
            await connection.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE query LIKE '%pg_sleep(61%' AND pid <> pg_backend_pid()"
            )
        [error] = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(error, BaseException)
        assert isinstance(translate(error), UnavailableError)
        await own.ping()
        await sleep(own, 0)


@pytest.mark.parametrize("sleep", [sleep_in_session, sleep_on_connection, sleep_in_statement])
async def test_cancelling_a_task_ends_its_query(settings: Settings, database: Database, sleep: Sleep) -> None:
    async with opened(changed(settings, db_pool_size=1, db_max_overflow=0)) as own:
        task = asyncio.create_task(sleep(own, 62))
        await until(lambda: backends(database, "query LIKE '%pg_sleep(62%' AND wait_event = 'PgSleep'"))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        async def is_over() -> bool:
            return not await backends(database, "query LIKE '%pg_sleep(62%' AND state <> 'idle'")

        await until(is_over)
        assert own.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
        # The only connection of the pool works, as often as it is asked.
        for _ in range(5):
            await own.ping()
            await sleep(own, 0)


@pytest.mark.parametrize("sleep", [sleep_in_statement, sleep_on_connection])
async def test_a_cancelled_statement_keeps_its_connection(settings: Settings, sleep: Sleep) -> None:
    async with opened(changed(settings, db_pool_size=1, db_max_overflow=0)) as own:
        async with own.connection() as connection:
            backend = await connection.fetchval("SELECT pg_backend_pid()")
        for _ in range(10):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await sleep(own, 60)
            async with own.connection() as connection:
                assert await connection.fetchval("SELECT pg_backend_pid()") == backend


@pytest.mark.parametrize("sleep", [sleep_in_session, sleep_on_connection, sleep_in_statement])
async def test_postgresql_ends_a_query_by_itself_in_the_end(settings: Settings, sleep: Sleep) -> None:
    async with opened(settings, statement_timeout=0.3) as own:
        with pytest.raises(Exception, match="statement timeout") as raised:
            await sleep(own, 60)
        assert isinstance(translate(raised.value), TimeoutExceededError)
        await own.ping()


async def test_a_pool_without_a_free_connection_is_unavailable(settings: Settings) -> None:
    async with opened(changed(settings, db_pool_size=1, db_max_overflow=0, db_pool_timeout=0.05)) as own:
        async with own.connection():
            with pytest.raises(UnavailableError):
                await own.ping()
            with pytest.raises(Exception, match="QueuePool") as raised:
                await sleep_in_session(own, 0)
            assert isinstance(translate(raised.value), UnavailableError)
        await own.ping()


async def test_lists_begin_no_transaction(settings: Settings, database: Database) -> None:
    async with opened(settings) as own:
        await own.engine.dispose()
        wire = Wire(own)
        statements = Statements(own)
        await statements.get_paginated_results(Shelf, view=ShelfView, filters={"label": "x"})
        await statements.get_paginated_results(
            Shelf, view=ShelfView, apply_filters=lambda rows: rows.where(Shelf.id > 1)
        )
        await statements.get_cursor_results(Shelf, view=ShelfView)
        await asyncio.sleep(0)  # asyncpg calls its loggers a moment later, and none for a prepared statement
        assert len([query for query in wire.queries if "test_shelf" in query]) == 2
        assert not [query for query in wire.queries if "BEGIN" in query or "COMMIT" in query or "RESET" in query]
        await sleep_in_session(own, 0)
        await asyncio.sleep(0)
        assert [query for query in wire.queries if "BEGIN" in query], "the wire shows transactions where there are any"


async def test_tls_is_required_where_it_is_asked_for(settings: Settings) -> None:
    """The suite's PostgreSQL speaks no TLS."""
    for mode in ("disable", "prefer"):
        async with opened(changed(settings, db_ssl=mode)) as database:
            await database.ping()
    for mode in ("require", "verify-ca", "verify-full"):
        with pytest.raises(UnavailableError):
            await Database(changed(settings, db_ssl=mode)).ping()
