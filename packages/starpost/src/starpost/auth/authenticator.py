"""Authenticator: finds the principal of a request or a socket."""

from typing import Protocol

from starpost.auth.principal import Principal
from starpost.auth.verifier import TokenVerifier
from starpost.errors import UnauthenticatedError


class SignIn(Protocol):
    """Source of a token for callers without one (``DEBUG_AUTH``)."""

    async def token(self) -> str:
        """Return a valid access token."""
        ...

    def forget(self, token: str) -> None:
        """Discard a token that was refused, so that ``token`` returns another one."""
        ...


class Authenticator:
    """Authenticator of requests: verifies their token, or signs in the debug user if they have none.

    Args:
        verifier: Verifies tokens.
        debug_sign_in: Development only. With ``None``, a request without a token is anonymous.
    """

    def __init__(self, verifier: TokenVerifier, debug_sign_in: SignIn | None = None) -> None:
        self._verifier = verifier
        self._debug_sign_in = debug_sign_in

    @property
    def is_debug_user_signed_in(self) -> bool:
        """True if a caller without a token is the debug user. Any page that can reach us then has a user's rights."""
        return self._debug_sign_in is not None

    def remembered(self, credentials: bytes) -> Principal | None:
        """Return the principal of credentials whose token was verified before and is still valid, else ``None``.

        Args:
            credentials: Value of the ``Authorization`` header. Its form is not checked: a token that is found here was
                accepted before. ``None`` does not mean that the token is invalid.
        """
        return self._verifier.cached(credentials[7:]) if credentials.startswith(b"Bearer ") else None

    def remembers(self, token: str) -> bool:
        """Return whether this token was verified before and is still valid."""
        return self._verifier.cached(token.encode("utf-8", "surrogatepass")) is not None

    async def authenticate(self, token: str | None) -> Principal | None:
        """Return the principal; ``None`` for an anonymous caller. A token is always verified, debug user or not.

        Raises:
            UnauthenticatedError: The token is not accepted.
            UnavailableError: It cannot be verified now, or the debug user cannot be signed in.
        """
        if token is not None:
            return await self._verifier.verify(token)
        if self._debug_sign_in is None:
            return None
        token = await self._debug_sign_in.token()
        try:
            return await self._verifier.verify(token)
        except UnauthenticatedError:
            self._debug_sign_in.forget(token)
            return await self._verifier.verify(await self._debug_sign_in.token())
