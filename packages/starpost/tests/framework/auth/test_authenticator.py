import pytest

from starpost.auth import Authenticator, DebugSignIn, KeycloakClient, MemoryRevocationList, RealmVerifier
from starpost.auth.revocation import Revocation
from starpost.errors import UnauthenticatedError
from starpost_dev.testing.realm import IdentityServer
from tests.framework.auth.conftest import settings_for


async def test_without_debug_auth_nobody_is_nobody(verifier: RealmVerifier) -> None:
    assert await Authenticator(verifier).authenticate(None) is None


async def test_a_request_without_a_token_is_the_debug_users(
    realm: IdentityServer, keycloak: KeycloakClient, verifier: RealmVerifier
) -> None:
    principal = await Authenticator(verifier, DebugSignIn(settings_for(realm), keycloak)).authenticate(None)

    assert principal is not None
    assert principal.username == "alice"
    assert "admin" in principal.roles


async def test_a_token_that_is_brought_is_still_verified(
    realm: IdentityServer, keycloak: KeycloakClient, verifier: RealmVerifier
) -> None:
    authenticator = Authenticator(verifier, DebugSignIn(settings_for(realm), keycloak))
    bob = await authenticator.authenticate(realm.token("bob"))

    assert bob is not None
    assert bob.username == "bob"
    for bad in ("nonsense", ""):
        with pytest.raises(UnauthenticatedError):
            await authenticator.authenticate(bad)


async def test_a_debug_token_that_is_no_longer_accepted_is_replaced(
    realm: IdentityServer, keycloak: KeycloakClient
) -> None:
    revocations = MemoryRevocationList()
    verifier = RealmVerifier(settings_for(realm), revocations)
    authenticator = Authenticator(verifier, DebugSignIn(settings_for(realm), keycloak))
    first = await authenticator.authenticate(None)
    assert first is not None
    assert first.session_id is not None
    revocations.add(Revocation("session", first.session_id, 0.0, first.expires_at))
    second = await authenticator.authenticate(None)

    assert second is not None
    assert second.session_id != first.session_id
    await verifier.close()
