"""What the application asks Keycloak to do: sign-ins, and the users of the realm.

A thin, typed face of python-keycloak, whose errors become the application's. Nothing here is on the way of a request
with a token: tokens are verified locally (``verifier``). So python-keycloak, a tenth of what the application takes to
start, is imported when Keycloak is first called, which most workers never do.
"""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from app.framework.errors import ConflictError, NotFoundError, UnauthenticatedError, UnavailableError
from app.settings import Settings

if TYPE_CHECKING:
    from keycloak import KeycloakAdmin, KeycloakOpenID


class TokenSet(msgspec.Struct, frozen=True):
    """What a sign-in or a refresh brings (RFC 6749, section 5.1). Lifetimes are in seconds."""

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
    """Calls Keycloak with the accounts that the settings name. Connects at the first call; close it in the same loop.

    Every method raises ``UnavailableError`` when Keycloak is away. An answer that none of a method's errors explains
    (the account lacks a right, for example) is raised as python-keycloak's ``KeycloakError``: the installation's fault.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._server_url = f"{settings.keycloak_base_url.rstrip('/')}/"
        self._timeout = math.ceil(settings.keycloak_timeout)

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
        """The user of exactly that name."""
        with _refusals():
            users = await self._admin.a_get_users({"username": username, "exact": True, "max": 1})
        return msgspec.convert(users[0], KeycloakUser) if users else None

    async def create_user(self, username: str, password: str, **attributes: Any) -> str:
        """Add an enabled user with a lasting password, and return its id.

        Args:
            username: Unique in the realm.
            password: In plain text.
            attributes: Further members of Keycloak's ``UserRepresentation``.

        Raises:
            ConflictError: The name is taken.
        """
        credentials = [{"type": "password", "value": password, "temporary": False}]
        with _refusals():
            return await self._admin.a_create_user(
                {"username": username, "enabled": True, "credentials": credentials, **attributes}
            )

    async def set_password(self, user_id: str, password: str) -> None:
        """Give a user a lasting password.

        Raises:
            NotFoundError: There is no such user.
        """
        with _refusals():
            await self._admin.a_set_user_password(user_id, password, temporary=False)

    async def assign_realm_roles(self, user_id: str, roles: Iterable[str]) -> None:
        """Give a user roles of the realm.

        Raises:
            NotFoundError: There is no such user or role.
        """
        with _refusals():
            await self._admin.a_assign_realm_roles(user_id, await self._representations(roles))

    async def remove_realm_roles(self, user_id: str, roles: Iterable[str]) -> None:
        """Take roles of the realm from a user; the tokens already issued keep them until they expire.

        Raises:
            NotFoundError: There is no such user or role.
        """
        with _refusals():
            await self._admin.a_delete_realm_roles_of_user(user_id, await self._representations(roles))

    async def log_out_user(self, user_id: str) -> None:
        """End all sessions of a user; Keycloak tells the clients by back-channel logout.

        Raises:
            NotFoundError: There is no such user.
        """
        with _refusals():
            await self._admin.a_user_logout(user_id)

    async def close(self) -> None:
        """Close the connections that were opened."""
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

    async def _representations(self, roles: Iterable[str]) -> list[dict[str, Any]]:
        return [await self._admin.a_get_realm_role(name) for name in roles]


@contextmanager
def _refusals(*, sign_in: bool = False) -> Iterator[None]:
    """Turn python-keycloak's errors into the application's; those without a meaning for a caller go on."""
    from keycloak.exceptions import KeycloakConnectionError, KeycloakError  # noqa: PLC0415

    try:
        yield
    except KeycloakConnectionError as error:
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
