"""Pytest plugin: PostgreSQL, Valkey and the development realm for one run of tests, private to it.

Load it with ``-p starpost_dev.testing``. Tests get the services as fixtures::

    def test_reads(services: Services) -> None:
        assert services.valkey.command("PING") == "PONG"

    async def test_signs_in(realm: IdentityServer) -> None:
        token = realm.token("alice")

A test that stops or kills a server starts its own, with ``starpost_dev.services.ephemeral``.
"""

import asyncio
import gc
import signal
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from starpost.db import migrate
from starpost.settings import Settings
from starpost_dev.services.ephemeral import ephemeral_services
from starpost_dev.services.services import Services
from starpost_dev.testing.realm import keycloak, realm, realm_file

__all__ = ["keycloak", "realm", "realm_file", "service_environment", "services"]

# Off until all tests are collected: imports make no garbage, and the collector would take a quarter of their time.
gc.disable()


def pytest_configure() -> None:
    """Let programs that tests start end by Ctrl-C.

    A shell ignores SIGINT for what it starts in the background, and children inherit that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Turn the garbage collector on."""
    gc.enable()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting ``longest_first``."""
    parser.addini(
        "longest_first", "Test files to begin with: the run's end waits for no worker that took one last.", "linelist"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run the files that take longest first; within a file the order stays."""
    places = {name: place for place, name in enumerate(config.getini("longest_first"))}
    items.sort(key=lambda item: places.get(item.nodeid.partition("::")[0], len(places)))


@pytest.fixture(scope="session")
def services() -> Iterator[Services]:
    """Start PostgreSQL, Valkey and the development realm for this run; the database is migrated.

    A test that stops or kills one of them starts its own instead.
    """
    with ephemeral_services(realm=True) as running:
        settings = Settings.from_strings(running.environment())
        # In a thread, which has no event loop yet.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, migrate.upgrade(settings)).result()
        yield running


@pytest.fixture(scope="session")
def service_environment(services: Services) -> Mapping[str, str]:
    """Return the variables of the services, for ``starpost.testing``."""
    return services.environment()
