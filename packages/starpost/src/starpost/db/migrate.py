"""Migrations: ``python -m starpost.db.migrate [upgrade | downgrade | revision | check]``.

Alembic, configured through advanced-alchemy, in the folder ``migrations/`` beside ``app/``. Every command holds an
advisory lock of PostgreSQL. Several may be started at once; the later ones find the work done.
"""

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from advanced_alchemy.alembic.commands import AlembicCommands
from advanced_alchemy.config import AlembicAsyncConfig, SQLAlchemyAsyncConfig
from alembic.util import CommandError
from sqlalchemy import Connection, text

from starpost.db.database import Database, DatabaseStartError
from starpost.settings import Settings, SettingsError

MIGRATIONS = Path("migrations")
VERSION_TABLE = "alembic_version"

# Any number that no other program uses in the same database; this one is "starpost" in ASCII.
_LOCK = 0x73746172706F7374

Command = Callable[[AlembicCommands], None]


async def run(settings: Settings, command: Command) -> None:
    """Run an Alembic command on the database of ``settings``, under the lock.

    Raises:
        DatabaseStartError: PostgreSQL is away.
        alembic.util.CommandError: The command cannot be carried out.
    """
    # A migration, or the wait for another process's, may take longer than any request.
    database = Database(settings, statement_timeout=0)
    await database.open()
    try:
        async with database.engine.connect() as connection:
            await connection.execute(text("SELECT pg_advisory_lock(:key)").bindparams(key=_LOCK))
            # The lock is the connection's: it outlives this transaction, and ends with the connection at the latest.
            await connection.commit()
            try:
                await connection.run_sync(_run_command, database, command)
            finally:
                await connection.rollback()
                await connection.execute(text("SELECT pg_advisory_unlock(:key)").bindparams(key=_LOCK))
                await connection.commit()
    finally:
        await database.close()


async def upgrade(settings: Settings, revision: str = "head") -> None:
    """Bring the database to ``revision``.

    Raises:
        DatabaseStartError: PostgreSQL is away.
        alembic.util.CommandError: There is no such revision.
    """
    await run(settings, lambda commands: commands.upgrade(revision))


def _run_command(connection: Connection, database: Database, command: Command) -> None:
    config = SQLAlchemyAsyncConfig(
        engine_instance=database.engine,
        alembic_config=AlembicAsyncConfig(
            script_location=str(MIGRATIONS),
            version_table_name=VERSION_TABLE,
            render_as_batch=False,
            compare_type=True,
        ),
    )
    commands = AlembicCommands(config)
    # `migrations/env.py` uses this connection, which holds the lock, instead of one of its own.
    commands.config.attributes["connection"] = connection
    command(commands)


def main(arguments: Sequence[str] | None = None, settings: type[Settings] = Settings) -> int:
    """Run the command line; return 0 on success, 1 if the database or the command fails, 2 for wrong arguments.

    Args:
        arguments: Those of the process, if none are given.
        settings: Class of the application's settings, whose defaults may differ from the framework's.
    """
    parser = argparse.ArgumentParser(prog="python -m starpost.db.migrate", description="Migrate the database.")
    actions = parser.add_subparsers(dest="action")
    actions.add_parser("upgrade", help="to the newest revision (the default), or to REVISION").add_argument(
        "revision", nargs="?", default="head"
    )
    actions.add_parser("downgrade", help="back to REVISION; -1 is one step, base is empty").add_argument("revision")
    actions.add_parser("revision", help="write a migration from the difference of models and database").add_argument(
        "-m", "--message", required=True
    )
    actions.add_parser("check", help="fail when models and database differ")
    chosen = parser.parse_args(arguments)

    def command(commands: AlembicCommands) -> None:
        match chosen.action:
            case "downgrade":
                commands.downgrade(chosen.revision)
            case "revision":
                commands.revision(message=chosen.message, autogenerate=True)
            case "check":
                commands.check()
            case _:
                commands.upgrade(getattr(chosen, "revision", "head"))

    try:
        asyncio.run(run(settings.load(), command))
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command line's answer
        return 2
    except (DatabaseStartError, CommandError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
