from collections.abc import AsyncIterator, Iterator

import pytest

from starpost.auth import KeycloakClient, RealmVerifier
from starpost.settings import Settings
from starpost.testing.issuer import Issuer
from starpost_dev.testing.realm import IdentityServer, realm

__all__ = ["issuer", "keycloak", "realm", "settings_for", "verifier"]


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    issuer = Issuer()
    yield issuer
    issuer.released.set()
    issuer.stop()


def settings_for(realm: IdentityServer, **changes: str) -> Settings:
    return Settings.from_strings({"KEYCLOAK_BASE_URL": realm.base_url, "KEYCLOAK_JWKS_COOLDOWN": "0.1"} | changes)


@pytest.fixture
async def keycloak(realm: IdentityServer) -> AsyncIterator[KeycloakClient]:
    client = KeycloakClient(settings_for(realm))
    yield client
    await client.close()


@pytest.fixture
async def verifier(realm: IdentityServer) -> AsyncIterator[RealmVerifier]:
    verifier = RealmVerifier(settings_for(realm))
    yield verifier
    await verifier.close()
