"""Example data: `make seed`, as often as you like.

Every domain may have a module `seed` with `async def seed(session: AsyncSession) -> None`, which adds missing rows.
All of them run in one transaction, on the configured database or on the checkout's own, migrated before.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import pkgutil
import sys
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from types import ModuleType

from alembic.util import CommandError
from sqlalchemy.ext.asyncio import AsyncSession

from starpost.db import Database, DatabaseStartError, UnitOfWork
from starpost.db.migrate import upgrade
from starpost.settings import Settings, SettingsError
from starpost_dev.project import Project
from starpost_dev.services.client import attach
from starpost_dev.services.errors import ServiceError
from starpost_dev.services.services import POSTGRES

Seed = Callable[[AsyncSession], Awaitable[None]]


def find_seeds(domains: ModuleType) -> dict[str, Seed]:
    """Return the domains' seeds, by name of the domain."""
    names = [module.name for module in pkgutil.iter_modules(domains.__path__)]
    return {
        name: importlib.import_module(f"{domains.__name__}.{name}.seed").seed
        for name in names
        if find_spec(f"{domains.__name__}.{name}.seed") is not None
    }


async def seed_all(settings: Settings, domains: ModuleType) -> list[str]:
    """Migrate, then run all seeds in one transaction. Return the names of the domains that have one."""
    await upgrade(settings)
    seeds = find_seeds(domains)
    database = await Database(settings).open()
    try:
        async with UnitOfWork(database) as unit:
            for seed in seeds.values():
                await seed(unit.session)
    finally:
        await database.close()
    return list(seeds)


def main(project: Project) -> int:
    """Seed the database. Return 1 if the database fails, 2 if the settings are wrong."""
    try:
        with attach([POSTGRES]) as services:
            os.environ.update(services.environment())
            names = asyncio.run(seed_all(project.settings.load(), project.domains))
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    except (ServiceError, DatabaseStartError, CommandError) as error:
        print(f"seed: {error}", file=sys.stderr)
        return 1
    print(f"Example data of {', '.join(names) or 'no domain'} is there.")
    return 0
