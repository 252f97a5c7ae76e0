from typing import Any, cast

import httpx
import pytest
from litestar import Litestar

from starpost.packets import PacketRegistry
from tests.specimen.asgi import create
from tests.specimen.settings import Settings


@pytest.fixture(scope="session")
def settings() -> Settings:
    return Settings(
        keycloak_base_url="http://inside:8080",
        keycloak_public_url="https://sso.example.org/auth",
    )


@pytest.fixture(scope="session")
def application(settings: Settings) -> Litestar:
    """The application, not running: its documents need no services."""
    return create(settings)


@pytest.fixture(scope="session")
def registry(application: Litestar) -> PacketRegistry:
    found: PacketRegistry = application.state.blueprint.registry
    return found


def client_of(application: Litestar) -> httpx.AsyncClient:
    """A client of an application that is not running: what it asks for must need no services."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(cast("Any", application)), base_url="http://localhost")


def references(value: Any) -> list[str]:
    """Every ``$ref`` in a document."""
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for inner in value.values() for found in references(inner)]
    return [found for inner in value for found in references(inner)] if isinstance(value, list) else []


def at(document: Any, reference: str) -> Any:
    """What a reference leads to.

    Raises:
        KeyError: Nowhere.
    """
    for key in reference.removeprefix("#/").split("/"):
        document = document[key.replace("~1", "/").replace("~0", "~")]
    return document
