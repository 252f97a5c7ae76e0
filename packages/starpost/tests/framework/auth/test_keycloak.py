"""What the application asks Keycloak to do, against the development realm in a process of its own."""

import asyncio
from uuid import uuid4

import pytest
from keycloak.exceptions import KeycloakError

from starpost.auth import KeycloakClient, RealmVerifier
from starpost.errors import ConflictError, NotFoundError, UnauthenticatedError, UnavailableError
from starpost.testing.issuer import Issuer
from starpost_dev.testing.realm import IdentityServer
from tests.framework.auth.conftest import settings_for


async def test_sign_in_refresh_and_sign_out(keycloak: KeycloakClient, verifier: RealmVerifier) -> None:
    tokens = await keycloak.sign_in("carol", "carol")
    carol = await verifier.verify(tokens.access_token)
    assert carol.username == "carol"
    assert {"author-editor", "author-reader"} <= carol.roles
    assert "admin" not in carol.roles

    renewed = await keycloak.refresh(tokens.refresh_token)
    again = await verifier.verify(renewed.access_token)
    assert (again.user_id, again.session_id) == (carol.user_id, carol.session_id)

    await keycloak.sign_out(renewed.refresh_token)
    with pytest.raises(UnauthenticatedError):
        await keycloak.refresh(renewed.refresh_token)


@pytest.mark.parametrize(("user", "password"), [("alice", "wrong"), ("nobody", "x"), ("dave", "dave")])
async def test_a_refused_sign_in(keycloak: KeycloakClient, user: str, password: str) -> None:
    with pytest.raises(UnauthenticatedError):
        await keycloak.sign_in(user, password)


async def test_users_of_the_realm(keycloak: KeycloakClient, verifier: RealmVerifier) -> None:
    name = f"user-{uuid4().hex[:8]}"
    assert await keycloak.find_user(name) is None
    profile = {"email": f"{name}@example.org", "emailVerified": True, "firstName": "A", "lastName": "User"}
    user_id = await keycloak.create_user(name, "first", **profile)
    found = await keycloak.find_user(name)
    assert found is not None
    assert found.id == user_id
    with pytest.raises(ConflictError):
        await keycloak.create_user(name, "again")

    async def roles(password: str) -> frozenset[str]:
        tokens = await keycloak.sign_in(name, password)
        return (await verifier.verify(tokens.access_token)).roles

    assert not {"author-reader", "author-editor"} & await roles("first")
    await keycloak.assign_realm_roles(user_id, ["author-editor"])
    await keycloak.set_password(user_id, "second")
    assert {"author-reader", "author-editor"} <= await roles("second")
    await keycloak.remove_realm_roles(user_id, ["author-editor"])
    assert not {"author-reader", "author-editor"} & await roles("second")

    tokens = await keycloak.sign_in(name, "second")
    await keycloak.log_out_user(user_id)
    with pytest.raises(UnauthenticatedError):
        await keycloak.refresh(tokens.refresh_token)


async def test_sessions_are_ended_by_name(keycloak: KeycloakClient) -> None:
    tokens = [await keycloak.sign_in("carol", "carol") for _ in range(2)]
    other = await keycloak.sign_in("bob", "bob")

    await keycloak.end_sessions("CAROL")

    for held in tokens:
        with pytest.raises(UnauthenticatedError):
            await keycloak.refresh(held.refresh_token)
    await keycloak.refresh(other.refresh_token)


@pytest.mark.parametrize("name", ["carol*", "caro", "%", "", "\x00", "../carol"])
async def test_nobody_else_s_sessions_are_ended(keycloak: KeycloakClient, name: str) -> None:
    tokens = await keycloak.sign_in("carol", "carol")
    with pytest.raises(NotFoundError):
        await keycloak.end_sessions(name)
    await keycloak.refresh(tokens.refresh_token)


async def test_the_account_may_end_its_own_sessions(keycloak: KeycloakClient) -> None:
    for _ in range(3):
        await keycloak.end_sessions("realm-admin")


async def test_calls_that_come_together_spend_no_refresh_token_twice(keycloak: KeycloakClient) -> None:
    # Each access token of the account is replaced at once.
    keycloak._admin.connection.token_lifetime_fraction = 0.0
    await keycloak.find_user("bob")
    found = await asyncio.gather(*(keycloak.find_user("bob") for _ in range(20)))
    assert {user.username if user else None for user in found} == {"bob"}


async def test_keycloak_that_hangs(issuer: Issuer) -> None:
    """It takes the connection and says nothing."""

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as silent:
        port = silent.sockets[0].getsockname()[1]
        client = KeycloakClient(issuer.settings(KEYCLOAK_BASE_URL=f"http://127.0.0.1:{port}", KEYCLOAK_TIMEOUT="0.2"))
        with pytest.raises(UnavailableError):
            await client.end_sessions("bob")
        await client.close()


async def test_what_is_not_there(keycloak: KeycloakClient) -> None:
    alice = await keycloak.find_user("alice")
    assert alice is not None
    with pytest.raises(NotFoundError):
        await keycloak.assign_realm_roles(alice.id, ["no-such-role"])
    with pytest.raises(NotFoundError):
        await keycloak.set_password(str(uuid4()), "x")


async def test_an_account_without_the_right_is_a_fault_of_the_installation(realm: IdentityServer) -> None:
    client = KeycloakClient(settings_for(realm, KEYCLOAK_ADMIN_USERNAME="bob", KEYCLOAK_ADMIN_PASSWORD="bob"))
    with pytest.raises(KeycloakError) as caught:
        await client.create_user("eve", "eve")
    assert caught.value.response_code == 403
    await client.close()


async def test_keycloak_away(issuer: Issuer) -> None:
    issuer.stop()
    client = KeycloakClient(issuer.settings())
    for call in (client.sign_in("alice", "alice"), client.find_user("alice")):
        with pytest.raises(UnavailableError):
            await call
    await client.close()
