"""Database: the pool of connections to PostgreSQL, one per worker."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal, Self

import asyncpg
import msgspec
import structlog
from sqlalchemy import URL, event
from sqlalchemy.exc import DisconnectionError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlalchemy.util import await_only, greenlet_spawn

from starpost.db.connection import CancellingConnection
from starpost.db.pool import StatementPool
from starpost.errors import StartError, UnavailableError
from starpost.settings import Settings

_log = structlog.get_logger(__name__)

# A packet's deadline cancels its query. This much later PostgreSQL ends the query by itself, in case the worker has
# died.
_GRACE_SECONDS = 5.0
_CONNECT_SECONDS = 10.0
# PostgreSQL checks this often whether the client of a query has gone, because its worker died or closed the connection.
_CHECK_CLIENT_MILLISECONDS = "1000"


class DatabaseStartError(StartError):
    """PostgreSQL could not be reached within the tries that the settings allow."""


class Database:
    """Pool of connections. The constructor does not connect; ``open`` does.

    Units of work (``new_session``) and single statements (``fetch``) share the pool: a second pool for reads would
    save ten microseconds per statement, and double the connections that each worker may hold.

    Args:
        settings: Address, password, TLS, pool and time limits: ``DB_*`` and ``WS_MAX_TIMEOUT``.
        statement_timeout: Time limit, in seconds, in place of the one from ``WS_MAX_TIMEOUT``; 0 means none.
    """

    def __init__(self, settings: Settings, *, statement_timeout: float | None = None) -> None:
        self._settings = settings
        self._ssl = _tls(settings)
        if statement_timeout is None:
            statement_timeout = settings.ws_max_timeout + _GRACE_SECONDS
        milliseconds = str(int(statement_timeout * 1000))
        self._server_settings = {
            "application_name": "starpost",
            "timezone": "UTC",
            "statement_timeout": milliseconds,
            "idle_in_transaction_session_timeout": milliseconds,
            "client_connection_check_interval": _CHECK_CLIENT_MILLISECONDS,
        }
        self._lends = settings.fast_paths
        self.default_page_size = settings.default_page_size
        self.engine = self._engine()
        self.autocommit: AsyncEngine = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self.new_session = async_sessionmaker(self.engine, expire_on_commit=False)

    def _engine(self) -> AsyncEngine:
        settings = self._settings
        engine = create_async_engine(
            # Shown in logs only, so it has no password: `_connect` makes the connections.
            URL.create(
                "postgresql+asyncpg",
                username=settings.db_user,
                host=settings.db_host,
                port=settings.db_port,
                database=settings.db_name,
            ),
            async_creator=self._connect,
            poolclass=StatementPool,
            pool_size=settings.db_pool_size,
            max_overflow=settings.db_max_overflow,
            pool_timeout=settings.db_pool_timeout,
            pool_recycle=settings.db_pool_recycle,
            pool_pre_ping=settings.db_pool_pre_ping,
            # The connection used last is used next, so those beyond the usual need are idle until recycling closes
            # them.
            pool_use_lifo=True,
            # Parameters are personal data, so exceptions of failed statements, and the log, do not contain them.
            hide_parameters=True,
            json_serializer=_encode_json,
            json_deserializer=msgspec.json.decode,
        )
        event.listen(engine.sync_engine, "checkout", _refuse_closed)
        return engine

    async def _connect(self) -> "asyncpg.Connection[asyncpg.Record]":
        settings = self._settings
        try:
            return await asyncpg.connect(
                host=settings.db_host,
                port=settings.db_port,
                user=settings.db_user,
                password=str(settings.db_password),
                database=settings.db_name,
                ssl=self._ssl,
                timeout=_CONNECT_SECONDS,
                server_settings=self._server_settings,
                connection_class=CancellingConnection,
            )
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            # Translated here: callers could not tell this OSError (refused, reset, unknown host, timeout) from one of a
            # file.
            raise UnavailableError("The database cannot be reached") from error

    async def open(self) -> Self:
        """Wait for PostgreSQL: one try, then ``DB_INIT_MAX_RETRIES`` more, ``DB_INIT_RETRY_INTERVAL`` seconds apart.

        Raises:
            DatabaseStartError: No try succeeded.
        """
        settings = self._settings
        tries = settings.db_init_max_retries + 1
        where = f"{settings.db_user}@{settings.db_host}:{settings.db_port}/{settings.db_name}"
        for number in range(1, tries + 1):
            try:
                await self.ping()
            except UnavailableError as error:
                reason = str(error.__cause__ or error)
                _log.warning("database_not_reached", database=where, attempt=number, of=tries, reason=reason)
                if number == tries:
                    await self.close()
                    raise DatabaseStartError(f"PostgreSQL {where} not reached in {tries} tries: {reason}") from error
                await asyncio.sleep(settings.db_init_retry_interval)
            else:
                break
        return self

    async def close(self) -> None:
        """Close the pool. Connections in use are closed when they are returned."""
        await self.engine.dispose()

    async def ping(self) -> None:
        """Make one round trip.

        Raises:
            UnavailableError: PostgreSQL is away, or no connection is free.
        """
        try:
            await self.fetch("SELECT 1")
        except (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise UnavailableError("The database does not answer") from error

    async def fetch(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """Run one statement outside of a transaction, and return its rows.

        Raises:
            UnavailableError: PostgreSQL is away.
            sqlalchemy.exc.TimeoutError: No connection became free within ``DB_POOL_TIMEOUT``.
            asyncpg.PostgresError: The statement failed.
            asyncpg.InterfaceError: An argument cannot be sent, or the connection was lost.
        """
        pool: Any = self.engine.sync_engine.pool
        entry = await pool.lend() if self._lends else None
        if entry is None:
            return await greenlet_spawn(self._fetch, sql, arguments)
        try:
            return await entry.driver_connection.fetch(sql, *arguments)  # type: ignore[no-any-return]
        finally:
            # The pool lends the connection of a cancelled query again when that query has ended, and notices a lost
            # connection when it lends it next.
            await pool.give_back(entry)

    def _fetch(self, sql: str, arguments: tuple[Any, ...]) -> list[asyncpg.Record]:
        # SQLAlchemy's way, which makes, tests or replaces a connection.
        pooled = self.engine.sync_engine.raw_connection()
        driver: Any = pooled.driver_connection
        try:
            return await_only(driver.fetch(sql, *arguments))
        finally:
            pooled.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        """Lend a driver connection, for what ``fetch`` cannot do. Leave no state on it: the pool does not reset it.

        Raises:
            UnavailableError: PostgreSQL is away.
            sqlalchemy.exc.TimeoutError: No connection became free within ``DB_POOL_TIMEOUT``.
        """
        pooled = await self.engine.raw_connection()
        driver: Any = pooled.driver_connection
        try:
            yield driver
        finally:
            await greenlet_spawn(pooled.close)


def _refuse_closed(dbapi_connection: Any, _record: object, _proxy: object) -> None:
    """Make the pool replace a connection that PostgreSQL closed while it was idle. Costs no round trip."""
    if dbapi_connection.driver_connection.is_closed():
        raise DisconnectionError


def _encode_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _tls(settings: Settings) -> ssl.SSLContext | Literal["disable", "prefer"]:
    """Return ``DB_SSL``, which has the values of libpq's sslmode, for asyncpg.

    We make the contexts, because asyncpg would look for certificates in the home folder.
    Source: https://www.postgresql.org/docs/current/libpq-ssl.html#LIBPQ-SSL-PROTECTION
    """
    mode, ca = settings.db_ssl, settings.db_ssl_ca
    if mode == "disable" or mode == "prefer":
        return mode
    context = ssl.create_default_context(cafile=ca or None)
    context.check_hostname = mode == "verify-full"
    if mode == "require" and not ca:
        # As in libpq: encrypted, but not verified unless a CA is given.
        context.verify_mode = ssl.CERT_NONE
    return context
