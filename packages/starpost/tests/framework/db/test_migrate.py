import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.util import CommandError

from starpost.db import migrate
from starpost.settings import Settings
from starpost_dev.services.services import Services
from tests import specimen
from tests.framework.db.conftest import create_database
from tests.framework.postgres import connected

PROJECT = Path(specimen.__file__).parent


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    """Migrations are those of the working directory."""
    monkeypatch.chdir(PROJECT)


def environment(settings: Settings) -> dict[str, str]:
    return {
        "DB_HOST": settings.db_host,
        "DB_PORT": str(settings.db_port),
        "DB_USER": settings.db_user,
        "DB_PASSWORD": str(settings.db_password),
        "DB_NAME": settings.db_name,
        "DB_INIT_MAX_RETRIES": "0",
    }


async def command(settings: Settings, *arguments: str, expected: int = 0) -> str:
    """Run it as its users do; what it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "starpost.db.migrate",
        *arguments,
        cwd=PROJECT,
        env=os.environ | environment(settings) | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output = (await process.communicate())[0].decode()
    assert process.returncode == expected, output
    return output


async def tables(settings: Settings) -> dict[str, list[str]]:
    """Tables with their columns, types, constraints and indexes, as PostgreSQL knows them."""
    async with connected(settings) as connection:
        rows = await connection.fetch(
            """
            SELECT table_name AS name, concat_ws(' ', column_name, data_type, is_nullable, column_default) AS what
            FROM information_schema.columns WHERE table_schema = 'public'
            UNION ALL
            SELECT conrelid::regclass::text, conname || ' ' || pg_get_constraintdef(oid)
            FROM pg_constraint WHERE connamespace = 'public'::regnamespace
            UNION ALL
            SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public'
            ORDER BY 1, 2
            """
        )
        found: dict[str, list[str]] = {}
        for row in rows:
            found.setdefault(row["name"], []).append(row["what"])
        return found


@pytest.fixture
async def empty(services: Services, request: pytest.FixtureRequest) -> Settings:
    base = Settings.from_strings(services.environment())
    return await create_database(base, f"migrate_{abs(hash(request.node.nodeid))}")


async def test_models_and_migrations_agree(empty: Settings) -> None:
    await migrate.upgrade(empty)
    assert "No new upgrade operations detected" in await command(empty, "check")


async def test_check_fails_when_they_do_not(empty: Settings) -> None:
    await migrate.upgrade(empty)
    async with connected(empty) as connection:
        await connection.execute("CREATE TABLE left_over (id int)")
    assert "left_over" in await command(empty, "check", expected=1)


async def test_down_and_up_again_is_the_same(empty: Settings) -> None:
    await migrate.upgrade(empty)
    at_head = await tables(empty)
    assert len(at_head) > 1
    await migrate.run(empty, lambda commands: commands.downgrade("base"))
    assert set(await tables(empty)) == {migrate.VERSION_TABLE}
    await migrate.upgrade(empty)
    assert await tables(empty) == at_head


async def test_several_at_once(empty: Settings) -> None:
    await asyncio.gather(*(command(empty) for _ in range(3)))
    assert len(await tables(empty)) > 1


async def test_waits_for_the_lock_longer_than_any_request_may(empty: Settings) -> None:
    blocked = Settings.from_strings(environment(empty) | {"WS_MAX_TIMEOUT": "0.01"})
    async with connected(empty) as connection:
        await connection.execute("SELECT pg_advisory_lock($1)", migrate._LOCK)
        waiting = asyncio.create_task(migrate.upgrade(blocked))
        while not await connection.fetchval(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        ):
            assert not waiting.done()
            await asyncio.sleep(0.01)
        assert await tables(empty) == {}
        await connection.execute("SELECT pg_advisory_unlock($1)", migrate._LOCK)
        await waiting
        assert len(await tables(empty)) > 1


async def test_a_command_that_fails_leaves_the_lock(empty: Settings) -> None:
    with pytest.raises(CommandError):
        await migrate.upgrade(empty, "nowhere")
    await migrate.upgrade(empty)


async def test_says_what_is_wrong(empty: Settings, unused_tcp_port: int) -> None:
    away = Settings.from_strings(environment(empty) | {"DB_PORT": str(unused_tcp_port)})
    said = await command(away, expected=1)
    assert "not reached in 1 tries" in said
    assert "Traceback" not in said
