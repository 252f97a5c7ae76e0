"""What the framework's tests share."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import pytest

from starpost.settings import Settings
from starpost.testing import Serve
from starpost_dev.services.services import Services
from tests.framework.postgres import connected


@pytest.fixture(scope="session")
def serve(serve: Serve) -> Callable[..., Any]:
    """Run the probe application, unless a test names another; ``None`` is the repository's own."""

    def start(target: str | None = "tests.framework.probe:create", **environ: str) -> Any:
        return serve(target, **environ)

    return start


@pytest.fixture
async def postgres(services: Services) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Connect to the suite's database, to see and do there what the application cannot."""
    async with connected(Settings.from_strings(services.environment())) as connection:
        yield connection
