"""``DEBUG_AUTH``: the debug user is signed in at a real token endpoint, that of the development realm."""

import asyncio

import pytest

from starpost.auth import DebugSignIn, KeycloakClient
from starpost.errors import UnauthenticatedError, UnavailableError
from starpost.testing.issuer import Issuer
from starpost_dev.testing.realm import IdentityServer
from tests.framework.auth.conftest import settings_for


async def test_callers_that_come_together_share_one_token(realm: IdentityServer, keycloak: KeycloakClient) -> None:
    sign_in = DebugSignIn(settings_for(realm), keycloak)

    assert len(set(await asyncio.gather(*(sign_in.token() for _ in range(20))))) == 1


async def test_the_token_is_replaced_before_it_expires(realm: IdentityServer, keycloak: KeycloakClient) -> None:
    now = [0.0]
    sign_in = DebugSignIn(settings_for(realm), keycloak, clock=lambda: now[0])
    first = await sign_in.token()
    now[0] = 0.7 * 300
    assert await sign_in.token() == first
    now[0] = 0.9 * 300
    assert await sign_in.token() != first


async def test_a_forgotten_token_is_replaced_and_a_newer_one_is_kept(
    realm: IdentityServer, keycloak: KeycloakClient
) -> None:
    sign_in = DebugSignIn(settings_for(realm), keycloak)
    first = await sign_in.token()
    sign_in.forget(first)
    second = await sign_in.token()
    sign_in.forget(first)

    assert first != second
    assert await sign_in.token() == second


async def test_a_wrong_password_is_told(realm: IdentityServer) -> None:
    settings = settings_for(realm, DEBUG_AUTH_PASSWORD="wrong")
    client = KeycloakClient(settings)
    with pytest.raises(UnauthenticatedError):
        await DebugSignIn(settings, client).token()
    await client.close()


async def test_keycloak_away_is_told_and_tried_again(issuer: Issuer) -> None:
    issuer.stop()
    client = KeycloakClient(issuer.settings())
    sign_in = DebugSignIn(issuer.settings(), client)
    for _ in range(2):
        with pytest.raises(UnavailableError):
            await sign_in.token()
    await client.close()
