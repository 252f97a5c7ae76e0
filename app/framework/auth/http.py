"""The HTTP side: a pure ASGI middleware that says whose request it is, and refuses nobody.

The guard decides. So a public route answers whoever comes, with a stale token or with Keycloak away, and what is wrong
with the token is said by the first rule that wants one.
"""

import re
from collections.abc import Awaitable, Iterable

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from app.framework.auth.authenticator import Authenticator
from app.framework.auth.credentials import bearer_token
from app.framework.errors import UnauthenticatedError, UnavailableError
from app.framework.header_fields import fields_of


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
        excluded: Paths on which a token is not looked at: their callers are anonymous.
    """

    def __init__(self, app: ASGIApp, authenticator: Authenticator, excluded: re.Pattern[str] | None = None) -> None:
        self._app = app
        self._authenticator = authenticator
        self._excluded = excluded

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Handle one connection, as the ASGI specification says."""
        if scope["type"] == ScopeType.HTTP:
            scope["user"] = scope["auth"] = None
            if self._excluded is None or not self._excluded.search(scope["path"]):
                credentials = fields_of(scope).get(b"authorization")
                if credentials is not None:
                    scope["user"] = self._authenticator.remembered(credentials)
                if scope["user"] is None:
                    return self._authenticate(scope, receive, send)
        # Handed on and not awaited here: whoever was seen before costs no coroutine.
        return self._app(scope, receive, send)

    async def _authenticate(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            scope["user"] = await self._authenticator.authenticate(bearer_token(scope["headers"]))
        except (UnauthenticatedError, UnavailableError) as error:
            scope["auth"] = error
        await self._app(scope, receive, send)
