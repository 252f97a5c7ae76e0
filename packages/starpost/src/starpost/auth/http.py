"""The HTTP side: a pure ASGI middleware that says whose request it is, and refuses nobody but who asks too often.

The guard decides what they may. So a public route answers whoever comes, with a stale token or with Keycloak away, and
what is wrong with the token is said by the first rule that wants one.
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
    """``EXCLUDED_PATHS`` as one expression, searched in a path from its start or wherever the patterns say.

    Raises:
        ValueError: A pattern is no regular expression; it is named.
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
    """Sets ``scope["user"]`` and ``scope["auth"]`` of every HTTP request.

    ``user`` is the ``Principal`` or ``None``. ``auth`` is the ``AppError`` that kept a token from being accepted, or
    ``None``. Sockets authenticate themselves, later and in more ways; their scopes pass untouched.

    Args:
        app: The next ASGI application.
        authenticator: Judges the token.
        limits: Charges the request to its user or, without a valid token, to its address.
        excluded: Paths on which a token is not looked at: their callers are anonymous.
        allowed_origins: Origins whose pages may act as the debug user, beside our own.
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
            # Before the token is verified, which costs as much as ten other requests.
            return self._limits.charge_address(scope, send) or self._authenticate(scope, receive, send)
        # Handed on and not awaited here: whoever was seen before costs no coroutine.
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
        """Refuse the debug user to a page of another origin: it brings no token, and would act as one all the same.

        Raises:
            PermissionDeniedError: The method is unsafe, and the page not one of ours.
        """
        if scope["method"] not in _SAFE_METHODS and not is_origin_allowed(scope, self._allowed_origins):
            raise PermissionDeniedError("DEBUG_AUTH serves no pages of other origins")
