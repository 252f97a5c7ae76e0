"""Pytest plugin: applications in real servers, tokens with real signatures, a client of the socket.

    async def test_echo(serve: Serve, issuer: Issuer) -> None:
        async with packet_client(serve().port, issuer.token()) as client:
            assert (await client.ask(PkgID.ECHO, {"name": "a"}))["status_code"] == 0

The plugin needs a fixture ``service_environment`` that returns the variables of PostgreSQL and Redis. The one of
``starpost_dev.testing`` starts these servers for the run.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from starpost.testing.issuer import CLIENT, REALM, Issuer
from starpost.testing.launched import Launched
from starpost.testing.packet_client import PacketClient, packet_client

__all__ = ["Issuer", "Launched", "PacketClient", "Serve", "issuer", "packet_client", "serve", "serving"]

Serve = Callable[..., Launched]


@pytest.fixture(scope="session")
def issuer() -> Iterator[Issuer]:
    """Return an issuer of tokens with real keys, for applications that have it as ``KEYCLOAK_BASE_URL``."""
    issuer = Issuer()
    yield issuer
    issuer.stop()


@contextmanager
def serving(
    service_environment: Mapping[str, str], log_dir: Path, target: str = "", **environ: str
) -> Iterator[Launched]:
    """Run the application in a real server, or another target, as ``Launched`` takes it."""
    log_dir.mkdir(parents=True, exist_ok=True)
    with Launched(log_dir, target, **{**service_environment, **environ}) as launched:
        yield launched.started()


@pytest.fixture(scope="session")
def serve(
    service_environment: Mapping[str, str], issuer: Issuer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serve]:
    """Return a function that runs the application, or ``target=``, with some settings. Equal calls share a server.

    The application's Keycloak is ``issuer``, so that a test can sign any token.
    """
    running: dict[Any, Launched] = {}
    with ExitStack() as stack:

        def start(target: str = "", **environ: str) -> Launched:
            key = (target, *sorted(environ.items()))
            if key not in running:
                settings = {
                    "KEYCLOAK_BASE_URL": issuer.base_url,
                    "KEYCLOAK_REALM": REALM,
                    "KEYCLOAK_CLIENT_ID": CLIENT,
                    "DRAIN_SPREAD": "0",
                    "KEYCLOAK_JWKS_COOLDOWN": "0.2",
                } | environ
                running[key] = stack.enter_context(
                    serving(service_environment, tmp_path_factory.mktemp("server"), target, **settings)
                )
            return running[key]

        yield start
