"""Back-channel logout: the route for logout tokens from Keycloak (OpenID Connect Back-Channel Logout 1.0, 2.5)."""

from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
import structlog
from litestar import MediaType, Request, Response, post
from litestar.handlers import HTTPRouteHandler
from litestar.types import Scope

from starpost.auth.logout_token import InvalidLogoutTokenError, Logout, LogoutTokenVerifier
from starpost.auth.verifier import MAX_TOKEN_BYTES

PATH: Final = "/auth/backchannel-logout"
MAX_BODY: Final = MAX_TOKEN_BYTES + 4096
_MAX_FIELDS: Final = 16
_MEDIA_TYPE: Final = "application/x-www-form-urlencoded"
_NOT_STORED: Final = {"Cache-Control": "no-store"}

log = structlog.get_logger(__name__)

EndSessions = Callable[[Logout], Awaitable[bool]]
"""Function that ends the sessions of a logout token, and returns whether the token is new."""


class _Refusal(msgspec.Struct, frozen=True):
    """Body of a 400 (2.8): an OAuth 2.0 error (RFC 6749, 5.2)."""

    error: str
    error_description: str


def backchannel_logout_route(
    tokens: LogoutTokenVerifier, end_sessions: EndSessions, on_known: Callable[[Scope], None] = lambda _: None
) -> HTTPRouteHandler:
    """Return the route that Keycloak posts logout tokens to.

    Args:
        tokens: Verifies them.
        end_sessions: Ends the sessions; raises ``UnavailableError`` if it cannot reach every worker.
        on_known: Called with the ASGI scope of a request that Keycloak has sent. Such a request has no access token,
            but a realm that ends thousands of sessions must not exceed the rate limit of its address.
    """

    @post(
        PATH,
        status_code=200,
        tags=["sessions"],
        request_max_body_size=MAX_BODY,
        outlives_client=True,
        summary="Back-channel logout",
        operation_id="BackchannelLogout",
    )
    async def backchannel_logout(request: Request[Any, Any, Any]) -> Response[bytes]:
        """End the session, or all sessions of the user, that a logout token of the realm names. For Keycloak alone.

        The form has one field, `logout_token` (OpenID Connect Back-Channel Logout 1.0, section 2.5).
        """
        try:
            token = _token_of(request.headers.get("content-type", ""), await request.body())
            logout = await tokens.verify(token)
        except InvalidLogoutTokenError as error:
            return _refused(error)
        if not await end_sessions(logout):
            return _refused(InvalidLogoutTokenError("The logout token has been used before"))
        on_known(request.scope)
        log.info("logged_out", session_id=logout.session_id, user_id=logout.user_id)
        return Response(b"", media_type=MediaType.TEXT, headers=_NOT_STORED)

    return backchannel_logout


def _refused(error: InvalidLogoutTokenError) -> Response[bytes]:
    log.warning("logout_token_refused", reason=error.msg, cause=repr(error.__cause__))
    body = msgspec.json.encode(_Refusal("invalid_request", error.msg))
    return Response(body, status_code=400, media_type=MediaType.JSON, headers=_NOT_STORED)


def _token_of(media_type: str, body: bytes) -> str:
    """Return the ``logout_token`` of a form.

    Raises:
        InvalidLogoutTokenError: There is no form, or not exactly one token in it.
    """
    if media_type.partition(";")[0].strip().lower() != _MEDIA_TYPE:
        raise InvalidLogoutTokenError(f"The body must be {_MEDIA_TYPE}")
    try:
        fields = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError as error:
        raise InvalidLogoutTokenError("The form is malformed") from error
    found = [value for name, value in fields if name == "logout_token"]
    if len(found) != 1 or not found[0]:
        raise InvalidLogoutTokenError("The form must have one logout_token")
    return found[0]
