"""What handlers, for packets and for HTTP alike, may ask for by name."""

from collections.abc import AsyncGenerator

from litestar.di import NamedDependency, Provide
from sqlalchemy.ext.asyncio import AsyncSession

from starpost.db.database import Database
from starpost.db.statements import Statements
from starpost.db.unit_of_work import UnitOfWork


def database_dependencies(database: Database) -> dict[str, Provide]:
    """The providers of one application.

    Args:
        database: The application's, opened and closed by it.

    Returns:
        ``statements`` (``Statements``): single statements, each committed by itself; for lists and plain writes.
        ``session`` (``AsyncSession``): the unit of work's; commits after the handler and before the reply.
        ``unit_of_work`` (``UnitOfWork``): that, begun only when its ``session`` is used, and ``after_commit``.
    """
    statements = Statements(database)

    def provide_statements() -> Statements:
        return statements

    # The parameter makes one provider wait for the other. Litestar runs those that need nothing of each other in a task
    # group, with a task for each: 100 µs per request, for two that wait for nothing.
    async def provide_unit_of_work(
        statements: NamedDependency[Statements],  # noqa: ARG001
    ) -> AsyncGenerator[UnitOfWork, None]:
        """Ends with the packet or the request."""
        async with UnitOfWork(database) as unit_of_work:
            yield unit_of_work

    def provide_session(unit_of_work: NamedDependency[UnitOfWork]) -> AsyncSession:
        return unit_of_work.session

    return {
        "statements": Provide(provide_statements, sync_to_thread=False),
        "unit_of_work": Provide(provide_unit_of_work),
        "session": Provide(provide_session, sync_to_thread=False),
    }
