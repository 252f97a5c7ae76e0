"""``/connections``: routes that list and close connections, for administrators (see ``actions.json``)."""

from typing import Annotated, Final

from litestar import Router, delete, get
from litestar.params import PathParameter, QueryParameter

from starpost.auth import KeycloakClient
from starpost.errors import NotFoundError, UnavailableError
from starpost.http.parameters import PageInQuery, PageSizeInQuery
from starpost.protocol.pages import OffsetMeta, Page
from starpost.sessions.registry import ConnectionEntry, RedisConnectionRegistry
from starpost.sessions.revocations import Revocations

SignOutInQuery = Annotated[bool, QueryParameter(description="also end the user's sessions at Keycloak")]
UserInQuery = Annotated[str, QueryParameter(min_length=1, max_length=255, description="the user's name")]
ConnectionInPath = Annotated[str, PathParameter(description="the connection's id")]

_NOT_SIGNED_OUT: Final = (
    "The user's connections are closed and the tokens refused, but Keycloak could not be told to end the sessions"
)


def connection_routes(
    registry: RedisConnectionRegistry, revocations: Revocations, keycloak: KeycloakClient, *, default_page_size: int
) -> Router:
    """Return the routes.

    Args:
        registry: Registry of all connections.
        revocations: Closes connections.
        keycloak: Ends sessions at Keycloak.
        default_page_size: Default of ``per_page``.
    """

    @get("/connections")
    async def list_connections(page: PageInQuery = None, per_page: PageSizeInQuery = None) -> Page[ConnectionEntry]:
        """List the connections on all workers and nodes, by name and time."""
        number, size = page or 1, per_page or default_page_size
        found = await registry.entries()
        start = (number - 1) * size
        return Page(found[start : start + size], OffsetMeta.of(number, size, len(found)))

    @delete("/connections/{connection_id:str}", outlives_client=True)
    async def close_connection(connection_id: ConnectionInPath) -> None:
        """Close a connection on any worker. Its token stays valid."""
        if await registry.find(connection_id) is None:
            raise NotFoundError("There is no such connection")
        revocations.close(connection_id)

    @delete("/connections", outlives_client=True)
    async def close_connections_of_user(user: UserInQuery, sign_out: SignOutInQuery = False) -> None:
        """Close all connections of a user, and refuse the tokens that the user has now until they expire.

        With `sign_out` the user's sessions at Keycloak end, too: no refresh token brings a new access token, and the
        user has to sign in again. If that fails, the connections are closed and the tokens refused all the same.
        """
        await revocations.end_user(user, await ids_of(user))
        if sign_out:
            try:
                await keycloak.end_sessions(user)
            except UnavailableError as error:
                raise UnavailableError(_NOT_SIGNED_OUT) from error
            # Again, for tokens that Keycloak issued before the sessions had ended.
            await revocations.end_user(user, await ids_of(user))

    async def ids_of(user: str) -> set[str]:
        """Return the users with this name in the registry. A renamed user may have connections with an older name."""
        try:
            found = await registry.entries()
        except UnavailableError:
            return set()  # tokens with the name are refused anyway
        return {held.user_id for held in found if held.user.lower() == user.lower()}

    return Router(
        "/", route_handlers=[list_connections, close_connection, close_connections_of_user], tags=["sessions"]
    )
