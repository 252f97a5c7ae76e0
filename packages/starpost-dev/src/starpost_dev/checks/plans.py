"""Plans of the lists: none reads its whole table. On a hundred thousand rows, in a PostgreSQL of its own.

Every packet and route of a domain that replies with a ``Page`` is called, with values for each of its parameters, and
PostgreSQL explains what it ran. A list that reads more rows of a table than a page may skip needs a reason in
``pyproject.toml``::

    [tool.starpost.reads-all]
    GET_TAGS = "a table of some dozen rows, which people write"
    "GET /tags" = "the same"
"""

import asyncio
import os
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy import event

from starpost.db import BaseModel, Database, migrate
from starpost.errors import NotFoundError, StartError
from starpost.settings import Settings, SettingsError
from starpost_dev import layout
from starpost_dev.checks.list_calls import ListOf, lists_of
from starpost_dev.checks.seeding import fill
from starpost_dev.project import Project
from starpost_dev.services.ephemeral import ephemeral_postgres
from starpost_dev.services.errors import ServiceError

ROWS: Final = 100_000
READ_AT_MOST: Final = 20_000
"""Rows that one step of a plan may read: 10,000 that a page may skip, and what comes by chance."""

_EXPLAINED: Final = {
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_timing": "off",
    "auto_explain.log_format": "json",
    # To the client, which gets notices, and not to the log of the server.
    "auto_explain.log_level": "notice",
}


class Plans:
    """Plans of what a database ran, as PostgreSQL tells its clients."""

    def __init__(self, database: Database) -> None:
        self._told: list[str] = []
        event.listen(database.engine.sync_engine, "connect", self._listen)

    async def taken(self) -> list[dict[str, Any]]:
        """Return the plans since the last call."""
        # asyncpg calls its listeners in a later turn of the loop.
        await asyncio.sleep(0)
        told, self._told = self._told, []
        return [msgspec.json.decode(text.partition("plan:\n")[2]) for text in told if "plan:\n" in text]

    def _listen(self, connection: Any, _record: object) -> None:
        connection.driver_connection.add_log_listener(self._hear)

    def _hear(self, _connection: object, message: Any) -> None:
        self._told.append(message.message)


def overreads(plan: Mapping[str, Any]) -> Iterator[str]:
    """Yield each step of a plan that reads too many rows of a table."""
    read = sum(plan.get(key, 0) for key in ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck"))
    read *= plan.get("Actual Loops", 1)
    if "Relation Name" in plan and read > READ_AT_MOST:
        yield f"{plan['Node Type']} reads {read:,.0f} rows of {plan['Relation Name']}"
    for step in plan.get("Plans", ()):
        yield from overreads(step)


async def faults_of(each: ListOf, plans: Plans) -> list[str]:
    """Call a list in every way, and return what is wrong with it."""
    faults = []
    is_explained = is_answered = False
    for parameters in each.calls():
        shown = f"{each.name} {msgspec.json.encode(parameters).decode()}"
        try:
            await each.walk(parameters)
            is_answered = True
        except NotFoundError:
            pass  # Another call has to find the list's rows.
        except Exception as error:  # noqa: BLE001 - a list that needs more than it is given here is named
            faults.append(f"{shown} cannot be called: {error!r}")
        for plan in await plans.taken():
            is_explained = True
            faults += [f"{shown}: {fault}\n{plan['Query Text']}" for fault in overreads(plan["Plan"])]
    if not is_answered:
        faults.append(f"{each.name}: no call was answered with a page")
    elif not is_explained:
        faults.append(f"{each.name}: PostgreSQL explained nothing")
    return faults


def judge(found: Mapping[str, Sequence[str]], excused: Mapping[str, str]) -> list[str]:
    """Return the faults without a reason, and the reasons without a fault."""
    unexcused = [fault for name, faults in found.items() if name not in excused for fault in faults]
    stale = [f"[tool.starpost.reads-all] {name}: it reads no whole table" for name in excused if not found.get(name)]
    return [*unexcused, *stale]


async def explained(project: Project, settings: Settings) -> dict[str, list[str]]:
    """Migrate and fill an empty database, call every list, and return its faults by name."""
    await migrate.upgrade(settings)
    app = project.application()
    database: Database = app.state.services.database
    plans = Plans(database)
    filling = await Database(settings, statement_timeout=0).open()
    async with filling.autocommit.connect() as connection:
        await fill(connection, BaseModel.metadata, ROWS)
        for name, value in _EXPLAINED.items():
            await connection.exec_driver_sql(f"ALTER DATABASE \"{settings.db_name}\" SET {name} = '{value}'")
    await filling.close()
    await database.open()
    try:
        lists = lists_of(app, app.state.blueprint.registry, project.domains.__name__)
        return {each.name: await faults_of(each, plans) for each in lists}
    finally:
        await database.close()


def main() -> int:
    """Print every list that reads a whole table, and return the exit status."""
    tool = tomllib.loads(Path("pyproject.toml").read_text()).get("tool", {})
    project = Project(layout.module())
    try:
        with ephemeral_postgres() as server:
            os.environ |= server.endpoint.environment()
            found = asyncio.run(explained(project, project.settings.load()))
    except (ServiceError, SettingsError, StartError) as error:
        print(error)
        return 1
    faults = judge(found, tool.get("starpost", {}).get("reads-all", {}))
    print("\n".join([*faults, f"{len(found)} lists: {', '.join(found)}"]))
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
