"""What the tests of the commands share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dev.checkouts import Checkout, new_checkout
from tests.specimen import REALM_FILE


@pytest.fixture(scope="session")
def realm_file() -> Path:
    """The specimen's."""
    return REALM_FILE


@pytest.fixture
def checkout() -> Iterator[Checkout]:
    """A folder whose development services are its own."""
    with new_checkout() as made:
        yield made


@pytest.fixture
def no_external_services(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in the environment takes the place of a development service."""
    for name in ("DB_HOST", "REDIS_IP", "REDIS_NODES", "KEYCLOAK_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
