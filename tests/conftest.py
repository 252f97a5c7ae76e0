"""What the whole suite shares: one set of real services, and applications that run in real servers."""

import asyncio
import gc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.framework.db import migrate
from app.settings import Settings
from scripts.devservices.ephemeral import ephemeral_services
from scripts.devservices.services import Services
from tests.framework.auth.issuer import Issuer
from tests.framework.server.launched import Launched
from tests.order import place_of
from tests.realm_fixture import keycloak, realm

__all__ = ["keycloak", "realm"]

ROOT = Path(__file__).parents[1]


# Until all is collected: nothing that is imported is garbage, and looking at it again and again is a quarter of it.
gc.disable()


def pytest_collection_finish() -> None:
    """Look for garbage from now on."""
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest; within a file the order stays."""
    items.sort(key=lambda item: place_of(item.nodeid))


@pytest.fixture(scope="session")
def services() -> Iterator[Services]:
    """PostgreSQL, Valkey and the development realm, private to this run, the database migrated.

    A test that stops or kills one of them starts its own instead.
    """
    with ephemeral_services(realm=True) as running:
        settings = Settings.from_strings(running.environment())
        # In a thread, which has no loop yet; its command line is tested with the others.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, migrate.upgrade(settings)).result()
        yield running


@pytest.fixture(scope="session")
def issuer() -> Iterator[Issuer]:
    """Signs any token, with real keys, for applications whose ``KEYCLOAK_BASE_URL`` it is."""
    issuer = Issuer()
    yield issuer
    issuer.stop()


@contextmanager
def serving(services: Services, log_dir: Path, target: str | None = None, **environ: str) -> Iterator[Launched]:
    """An application in a real server: ``python -m app``, or another target of the launcher."""
    log_dir.mkdir(parents=True, exist_ok=True)
    with Launched(log_dir, target, **services.environment() | environ) as launched:
        yield launched.started()


Serve = Callable[..., Launched]


@pytest.fixture(scope="session")
def serve(services: Services, issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Run the probe application (or ``target=``) with these settings; one server for each combination, kept.

    Its Keycloak is ``issuer``, so that a test can sign whatever token it needs.
    """
    running: dict[Any, Launched] = {}
    with ExitStack() as stack:

        def start(target: str | None = "tests.probe:create", **environ: str) -> Launched:
            key = (target, *sorted(environ.items()))
            if key not in running:
                settings = {
                    "KEYCLOAK_BASE_URL": issuer.base_url,
                    "DRAIN_SPREAD": "0",
                    "KEYCLOAK_JWKS_COOLDOWN": "0.2",
                } | environ
                running[key] = stack.enter_context(
                    serving(services, tmp_path_factory.mktemp("server"), target, **settings)
                )
            return running[key]

        yield start
