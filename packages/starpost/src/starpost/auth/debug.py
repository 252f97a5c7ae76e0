"""``DEBUG_AUTH``: callers without a token become the debug user. Production settings refuse it."""

import asyncio
import time
from collections.abc import Callable

from starpost.auth.keycloak import KeycloakClient
from starpost.settings import Settings

_LIFETIME_USED = 0.8
"""Fraction of a token's lifetime after which it is replaced, so that it does not expire in use."""


class DebugSignIn:
    """Cached token of the debug user. Keycloak issues it, as for every user; it is replaced before it expires.

    Args:
        settings: Name and password of the user.
        keycloak: Signs in; the caller closes it.
        clock: Seconds, monotonic.
    """

    def __init__(
        self, settings: Settings, keycloak: KeycloakClient, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._username = settings.debug_auth_username
        self._password = settings.debug_auth_password
        self._keycloak = keycloak
        self._clock = clock
        self._token: str | None = None
        self._renew_at = 0.0
        self._signing_in = asyncio.Lock()

    async def token(self) -> str:
        """Return a valid access token. Simultaneous callers share one sign-in.

        Raises:
            UnauthenticatedError: Keycloak refuses the debug user.
            UnavailableError: Keycloak is away.
        """
        async with self._signing_in:
            if self._token is None or self._clock() >= self._renew_at:
                tokens = await self._keycloak.sign_in(self._username, self._password)
                self._renew_at = self._clock() + _LIFETIME_USED * tokens.expires_in
                self._token = tokens.access_token
            return self._token

    def forget(self, token: str) -> None:
        """Drop a token that is no longer accepted: the realm was recreated, or the session ended."""
        if self._token == token:
            self._token = None
