"""Dependencies of the database, for packets, routes and tasks, by parameter name."""

from collections.abc import AsyncGenerator

from litestar.di import NamedDependency, Provide
from sqlalchemy.ext.asyncio import AsyncSession

from starpost.db.database import Database
from starpost.db.statements import Statements
from starpost.db.unit_of_work import UnitOfWork


def database_dependencies(database: Database) -> dict[str, Provide]:
    """Return the providers of one application.

    Args:
        database: Database of the application, which opens and closes it.

    Returns:
        ``statements`` (``Statements``): single statements, each committed by itself; for lists and plain writes.
        ``session`` (``AsyncSession``): that of the unit of work; commits after the handler and before the reply.
        ``unit_of_work`` (``UnitOfWork``): begins when its ``session`` is first used; has ``after_commit``.
    """
    statements = Statements(database)

    def provide_statements() -> Statements:
        return statements

    # The unused parameter orders the two providers. Litestar would run independent ones in a task group, each in a task
    # of its own: 100 µs per request, for two providers that wait for nothing.
    async def provide_unit_of_work(
        statements: NamedDependency[Statements],  # noqa: ARG001
    ) -> AsyncGenerator[UnitOfWork, None]:
        """Provide a unit of work that ends with the packet or the request."""
        async with UnitOfWork(database) as unit_of_work:
            yield unit_of_work

    def provide_session(unit_of_work: NamedDependency[UnitOfWork]) -> AsyncSession:
        return unit_of_work.session

    return {
        "statements": Provide(provide_statements, sync_to_thread=False),
        "unit_of_work": Provide(provide_unit_of_work),
        "session": Provide(provide_session, sync_to_thread=False),
    }
