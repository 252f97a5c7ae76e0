"""HTTP authentication: an ASGI middleware that finds the principal. It refuses only callers that exceed their rate.

The guard decides about permissions. So a public route answers every caller, even with a stale token or while Keycloak
is away. The fault of a token is reported by the first rule that requires one.
"""

import re
from collections.abc import Awaitable, Collection, Iterable
from typing import Any, Final

from litestar.types import ASGIApp, Receive, Scope, Send

from starpost.auth.authenticator import Authenticator
from starpost.auth.credentials import bearer_token
from starpost.auth.handshake import is_origin_allowed
from starpost.auth.principal import Principal
from starpost.errors import PermissionDeniedError, UnauthenticatedError, UnavailableError
from starpost.header_fields import HTTP, fields_of
from starpost.limits import RequestLimits

_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (RFC 9110, section 9.2.1)."""


def compile_excluded(patterns: Iterable[str]) -> re.Pattern[str] | None:
    """Compile ``EXCLUDED_PATHS`` into one expression, to be searched anywhere in a path; ``None`` if there are none.

    Raises:
        ValueError: A pattern is not a regular expression; the message names it.
    """
    alternatives = []
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"EXCLUDED_PATHS: {pattern!r} is no regular expression: {error}") from error
        alternatives.append(f"(?:{pattern})")
    return re.compile("|".join(alternatives)) if alternatives else None


class AuthenticationMiddleware:
    """Middleware that sets ``scope["user"]`` and ``scope["auth"]`` of every HTTP request.

    ``user`` is the ``Principal`` or ``None``. ``auth`` is the ``AppError`` for which the token was refused, or
    ``None``. The endpoint of sockets authenticates them itself, so their scopes pass unchanged.

    Args:
        app: The next ASGI application.
        authenticator: Verifies the token.
        limits: Charges the request to its user or, without a valid token, to its address.
        excluded: Paths on which tokens are ignored: their callers are anonymous.
        allowed_origins: Origins, in addition to our own, whose pages may act as the debug user.
    """

    def __init__(
        self,
        app: ASGIApp,
        authenticator: Authenticator,
        limits: RequestLimits,
        excluded: re.Pattern[str] | None = None,
        allowed_origins: Collection[str] = (),
    ) -> None:
        self._app = app
        self._authenticator = authenticator
        self._limits = limits
        self._excluded = excluded
        self._allowed_origins = allowed_origins

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Handle one connection, as the ASGI specification says."""
        if scope["type"] != HTTP:
            return self._app(scope, receive, send)
        scope["user"] = scope["auth"] = None
        if self._excluded is not None and self._excluded.search(scope["path"]):
            return self._limits.charge_address(scope, send) or self._app(scope, receive, send)
        credentials = fields_of(scope).get(b"authorization")
        user = None if credentials is None else self._authenticator.remembered(credentials)
        if user is None:
            # Charged before the token is verified, which costs as much as ten requests.
            return self._limits.charge_address(scope, send) or self._authenticate(scope, receive, send)
        # Returned, not awaited: a caller that was seen before costs no coroutine.
        return self._serve_user(user, scope, receive, send)

    def _serve_user(self, user: Principal, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        scope["user"] = user
        return self._limits.charge_user(scope, send, user.user_id) or self._app(scope, receive, send)

    async def _authenticate(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            token = bearer_token(scope["headers"])
            if token is None and self._authenticator.is_debug_user_signed_in:
                self._check_page(scope)
            user = await self._authenticator.authenticate(token)
        except (UnauthenticatedError, UnavailableError, PermissionDeniedError) as error:
            scope["auth"] = error
            user = None
        if user is None:
            await self._app(scope, receive, send)
        else:
            self._limits.give_back(scope)
            await self._serve_user(user, scope, receive, send)

    def _check_page(self, scope: Any) -> None:
        """Refuse the debug user to a page of another origin: it has no token, and would still act as a user.

        Raises:
            PermissionDeniedError: The method is unsafe, and the page's origin is not allowed.
        """
        if scope["method"] not in _SAFE_METHODS and not is_origin_allowed(scope, self._allowed_origins):
            raise PermissionDeniedError("DEBUG_AUTH serves no pages of other origins")
