"""Environment of a run: a durable PostgreSQL, Valkey, a signing realm, a filled table, and the servers under test."""

import asyncio
import resource
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import uuid4

import asyncpg
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from bench.authors import BenchAuthor
from bench.cores import Cores, pin
from bench.realm import SigningRealm
from bench.server import Server, Subject
from starpost_dev.services.ephemeral import ephemeral_services

AUTHORS: Final = 1000
"""Rows of the table that pages are read from."""

POOL: Final = 20
"""Database connections of each side."""

FILES: Final = 16_384


@dataclass
class Site:
    """Environment of a run. Servers start when a case first needs them, and stay, idle, until the end."""

    cores: Cores
    token: str
    dsn: str
    environ: dict[str, str]
    folder: Path
    realm: SigningRealm
    _stack: ExitStack
    _servers: dict[Subject, Server] = field(default_factory=dict)

    def server(self, subject: Subject) -> Server:
        """Return the running server of a subject, and start it if necessary.

        Raises:
            ServerError: The server does not start.
        """
        if subject not in self._servers:
            self._servers[subject] = self._stack.enter_context(self.fresh(subject))
        return self._servers[subject]

    def new_tokens(self, number: int) -> list[str]:
        """Access tokens that no server has seen, each of a user of its own."""
        return [self.realm.token(str(uuid4()), "author-reader") for _ in range(number)]

    def fresh(self, subject: Subject) -> Server:
        """Return a new server, not started yet, for measurements that others must not influence."""
        log = self.folder / f"{subject.name}-{secrets.token_hex(4)}.log"
        # Several workers need several cores, even if they share them with the load.
        return Server(subject, self.environ, self.cores.server if subject.workers == 1 else self.cores.every, log)

    async def create_table(self) -> None:
        """Create the table that pages are read from."""
        connection = await asyncpg.connect(self.dsn)
        try:
            create = CreateTable(BenchAuthor.__table__)  # type: ignore[arg-type]
            await connection.execute(str(create.compile(dialect=postgresql.dialect())))  # type: ignore[no-untyped-call]
        finally:
            await connection.close()

    async def refill(self) -> None:
        """Restore the table: the rows of the pages and no others, and no dead ones."""
        connection = await asyncpg.connect(self.dsn)
        try:
            await connection.execute("TRUNCATE bench_author RESTART IDENTITY")
            await connection.copy_records_to_table(
                "bench_author", columns=["name"], records=[(f"Author {number:04}",) for number in range(AUTHORS)]
            )
            await connection.execute("VACUUM ANALYZE bench_author")
        finally:
            await connection.close()

    async def database_connections(self, application: str = "starpost") -> int:
        """Return the number of connections to PostgreSQL that all running applications hold."""
        connection = await asyncpg.connect(self.dsn)
        try:
            count: int = await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1", application
            )
        finally:
            await connection.close()
        return count


@contextmanager
def site(*, is_pinned: bool) -> Iterator[Site]:
    """Run the services for the context.

    Args:
        is_pinned: Give the servers under test a core that nothing else uses.

    Raises:
        ServiceError: PostgreSQL or Valkey does not start.
    """
    cores = Cores.plan(is_pinned=is_pinned)
    # PostgreSQL and Valkey inherit the affinity, so that the server's core does only the server's work.
    pin(cores.load)
    _raise_file_limit()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        # Durable, as in production: a commit waits for the disk, on both sides.
        services = stack.enter_context(ephemeral_services(postgres_settings={}))
        realm = stack.enter_context(SigningRealm())
        environ = {**services.environment(), **_production(realm)}
        postgres = services.postgres.endpoint
        made = Site(
            cores=cores,
            token=realm.token("alice", "author-reader", "author-editor"),
            dsn=f"postgresql://{postgres.user}:{postgres.password}@{postgres.host}:{postgres.port}/{postgres.database}",
            environ=environ,
            folder=folder,
            realm=realm,
            _stack=stack,
        )
        asyncio.run(made.create_table())
        asyncio.run(made.refill())
        yield made


def _production(realm: SigningRealm) -> dict[str, str]:
    """Return production settings. The limits are on, but wide enough for one user with all the load."""
    return {
        "ENVIRONMENT": "production",
        "KEYCLOAK_BASE_URL": realm.base_url,
        "KEYCLOAK_CLIENT_ID": "starpost",
        "KEYCLOAK_ADMIN_PASSWORD": secrets.token_urlsafe(),
        "DEBUG_AUTH_PASSWORD": secrets.token_urlsafe(),
        "ALLOWED_HOSTS": "127.0.0.1",
        "WS_QUERY_TOKEN": "false",
        "DB_POOL_SIZE": str(POOL),
        "DB_MAX_OVERFLOW": "0",
        "WS_RATE_LIMIT": "10000000",
        "USER_RATE_LIMIT": "10000000",
        "WS_MAX_CONNECTIONS": "12000",
        "WS_MAX_CONNECTIONS_PER_USER": "12000",
        "LOG_LEVEL": "INFO",
    }


def _raise_file_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < FILES:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (FILES if hard == resource.RLIM_INFINITY else min(FILES, hard), hard)
        )
