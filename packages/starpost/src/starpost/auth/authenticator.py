"""Whose request it is: the one way in for HTTP requests and for sockets."""

from typing import Protocol

from starpost.auth.principal import Principal
from starpost.auth.verifier import TokenVerifier
from starpost.errors import UnauthenticatedError


class SignIn(Protocol):
    """Gives a caller who brings no token a token of its own (``DEBUG_AUTH``)."""

    async def token(self) -> str:
        """A valid access token."""
        ...

    def forget(self, token: str) -> None:
        """That token is not accepted: the next one must be another."""
        ...


class Authenticator:
    """Verifies the token that a request brings, or signs in the debug user when it brings none.

    Args:
        verifier: Judges tokens.
        debug_sign_in: Development only; ``None``: a request without a token is anonymous.
    """

    def __init__(self, verifier: TokenVerifier, debug_sign_in: SignIn | None = None) -> None:
        self._verifier = verifier
        self._debug_sign_in = debug_sign_in

    @property
    def is_debug_user_signed_in(self) -> bool:
        """Whether a caller without a token is the debug user: then any page that reaches us has a user's rights."""
        return self._debug_sign_in is not None

    def remembered(self, credentials: bytes) -> Principal | None:
        """Who brings these credentials, when their token has been verified before and still holds.

        Args:
            credentials: What the ``Authorization`` header says. Their form is not looked at: what is found was accepted
                before. ``None`` says nothing about them.
        """
        return self._verifier.cached(credentials[7:]) if credentials.startswith(b"Bearer ") else None

    def remembers(self, token: str) -> bool:
        """Whether this token has been verified before and still holds."""
        return self._verifier.cached(token.encode("utf-8", "surrogatepass")) is not None

    async def authenticate(self, token: str | None) -> Principal | None:
        """The caller; ``None`` is an anonymous one. A token that is brought is verified, debug user or not.

        Raises:
            UnauthenticatedError: The token is not accepted.
            UnavailableError: It cannot be judged now, or the debug user cannot be signed in.
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
