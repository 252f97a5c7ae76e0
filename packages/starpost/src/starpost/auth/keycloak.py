"""Client of Keycloak: sign-ins, and administration of the realm's users.

A thin, typed layer over python-keycloak, whose errors become the application's. A request with a token never comes
here: tokens are verified locally (``verifier``). python-keycloak takes a tenth of the application's start, and most
workers never call Keycloak, so it is imported at the first call.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from starpost.errors import ConflictError, NotFoundError, UnauthenticatedError, UnavailableError
from starpost.settings import Settings

if TYPE_CHECKING:
    from keycloak import KeycloakAdmin, KeycloakOpenID


class TokenSet(msgspec.Struct, frozen=True):
    """Tokens from a sign-in or a refresh (RFC 6749, section 5.1). Lifetimes are in seconds."""

    access_token: str
    expires_in: float
    refresh_token: str
    refresh_expires_in: float


class KeycloakUser(msgspec.Struct, frozen=True, rename="camel"):
    """A user of the realm; ``id`` is the ``sub`` of the user's tokens."""

    id: str
    username: str
    enabled: bool = True


class KeycloakClient:
    """Client of Keycloak, with the accounts from the settings. Connects at the first call; close it in the same loop.

    Every method raises ``UnavailableError`` if Keycloak is away. Answers that point to a fault of the installation (the
    account lacks a permission, for example) are raised as python-keycloak's ``KeycloakError``.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._server_url = f"{settings.keycloak_base_url.rstrip('/')}/"
        self._timeout = math.ceil(settings.keycloak_timeout)
        self._administers = asyncio.Lock()

    async def sign_in(self, username: str, password: str) -> TokenSet:
        """Sign a user in with the password grant.

        Raises:
            UnauthenticatedError: Keycloak refuses: wrong password, disabled user, grant not allowed.
        """
        with _refusals(sign_in=True):
            return msgspec.convert(await self._openid.a_token(username, password), TokenSet)

    async def refresh(self, refresh_token: str) -> TokenSet:
        """Exchange a refresh token for new tokens.

        Raises:
            UnauthenticatedError: The refresh token is expired, used or revoked.
        """
        with _refusals(sign_in=True):
            return msgspec.convert(await self._openid.a_refresh_token(refresh_token), TokenSet)

    async def sign_out(self, refresh_token: str) -> None:
        """End the session of a refresh token.

        Raises:
            UnauthenticatedError: The refresh token is not valid.
        """
        with _refusals(sign_in=True):
            await self._openid.a_logout(refresh_token)

    async def find_user(self, username: str) -> KeycloakUser | None:
        """Return the user with exactly this name, ignoring case; ``None`` if there is none."""
        async with self._administering():
            users = await self._admin.a_get_users({"username": username, "exact": True, "max": 1})
        found = msgspec.convert(users, list[KeycloakUser])
        # Checked again: the caller may do something irreversible to this user.
        return next((user for user in found if user.username.lower() == username.lower()), None)

    async def create_user(self, username: str, password: str, **attributes: Any) -> str:
        """Add an enabled user with a permanent password, and return its id.

        Args:
            username: Unique in the realm.
            password: In plain text.
            attributes: Further members of Keycloak's ``UserRepresentation``.

        Raises:
            ConflictError: The name is taken.
        """
        credentials = [{"type": "password", "value": password, "temporary": False}]
        async with self._administering():
            return await self._admin.a_create_user(
                {"username": username, "enabled": True, "credentials": credentials, **attributes}
            )

    async def set_password(self, user_id: str, password: str) -> None:
        """Set a permanent password.

        Raises:
            NotFoundError: There is no such user.
        """
        async with self._administering():
            await self._admin.a_set_user_password(user_id, password, temporary=False)

    async def assign_realm_roles(self, user_id: str, roles: Iterable[str]) -> None:
        """Give a user roles of the realm.

        Raises:
            NotFoundError: There is no such user or role.
        """
        async with self._administering():
            await self._admin.a_assign_realm_roles(user_id, await self._representations(roles))

    async def remove_realm_roles(self, user_id: str, roles: Iterable[str]) -> None:
        """Take roles of the realm from a user. Tokens that were issued before keep them until they expire.

        Raises:
            NotFoundError: There is no such user or role.
        """
        async with self._administering():
            await self._admin.a_delete_realm_roles_of_user(user_id, await self._representations(roles))

    async def log_out_user(self, user_id: str) -> None:
        """End all sessions of a user. Keycloak notifies the clients by back-channel logout.

        Raises:
            NotFoundError: There is no such user.
        """
        async with self._administering():
            await self._admin.a_user_logout(user_id)

    async def end_sessions(self, username: str) -> None:
        """End all sessions of a user by name, so that none of their refresh tokens works any more.

        Raises:
            NotFoundError: There is no user with this name.
        """
        # In lower case, as Keycloak stores names.
        user = await self.find_user(username.lower())
        if user is None:
            raise NotFoundError("Keycloak has no user with this name")
        await self.log_out_user(user.id)

    async def close(self) -> None:
        """Close the open connections."""
        if "_openid" in self.__dict__:
            await self._openid.connection.aclose()
            del self._openid
        if "_admin" in self.__dict__:
            connection = self._admin.connection
            await connection.keycloak_openid.connection.aclose()
            await connection.aclose()
            del self._admin

    @cached_property
    def _openid(self) -> "KeycloakOpenID":
        from keycloak import KeycloakOpenID  # noqa: PLC0415 - see above

        settings = self._settings
        return KeycloakOpenID(
            server_url=self._server_url,
            realm_name=settings.keycloak_realm,
            client_id=settings.keycloak_client_id,
            client_secret_key=settings.keycloak_client_secret or None,
            timeout=self._timeout,
        )

    @cached_property
    def _admin(self) -> "KeycloakAdmin":
        from keycloak import KeycloakAdmin, KeycloakOpenIDConnection  # noqa: PLC0415

        settings = self._settings
        connection = KeycloakOpenIDConnection(
            server_url=self._server_url,
            realm_name=settings.keycloak_realm,
            username=settings.keycloak_admin_username,
            password=settings.keycloak_admin_password,
            timeout=self._timeout,
        )
        return KeycloakAdmin(connection=connection)

    @asynccontextmanager
    async def _administering(self) -> AsyncIterator[None]:
        """Call the admin API, one call at a time.

        Parallel calls would use one refresh token twice. Keycloak treats that as theft, and ends the account's session.
        """
        async with self._administers:
            with _refusals():
                # For the whole call: python-keycloak signs in and repeats requests, each with a timeout of its own.
                async with asyncio.timeout(self._timeout):
                    yield

    async def _representations(self, roles: Iterable[str]) -> list[dict[str, Any]]:
        return [await self._admin.a_get_realm_role(name) for name in roles]


@contextmanager
def _refusals(*, sign_in: bool = False) -> Iterator[None]:
    """Turn python-keycloak's errors into the application's; raise the others as they are."""
    from keycloak.exceptions import KeycloakConnectionError, KeycloakError  # noqa: PLC0415

    try:
        yield
    except (KeycloakConnectionError, TimeoutError) as error:
        raise UnavailableError("Keycloak does not answer") from error
    except KeycloakError as error:
        status = error.response_code or 0
        if status >= 500:
            raise UnavailableError("Keycloak cannot answer now") from error
        if sign_in and status in {400, 401}:
            raise UnauthenticatedError("Keycloak refuses the credentials") from error
        if status == NotFoundError.http_status:
            raise NotFoundError("There is no such user or role") from error
        if status == ConflictError.http_status:
            raise ConflictError("The username is taken") from error
        raise
