"""Models and migrations agree, and every migration can be undone."""

import asyncio
import os
import subprocess
import sys

import msgspec
from sqlalchemy import text

from starpost.db import Database, migrate
from starpost.settings import Settings
from starpost_dev.services.services import Services


async def test_models_and_migrations_agree(services: Services) -> None:
    """In a database of its own: that of the run has tables of other tests."""
    of_the_run = Settings.from_strings(services.environment())
    database = await Database(of_the_run).open()
    async with database.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("CREATE DATABASE migrations"))
    await database.close()
    settings = msgspec.structs.replace(of_the_run, db_name="migrations")
    await migrate.upgrade(settings)
    await migrate.run(settings, lambda commands: commands.downgrade("base"))
    await migrate.upgrade(settings)
    # This process knows tables of other tests, too.
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "starpost.db.migrate",
        "check",
        env=os.environ | services.environment() | {"DB_NAME": "migrations"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    said = (await process.communicate())[0].decode()
    assert "No new upgrade operations detected" in said, said
