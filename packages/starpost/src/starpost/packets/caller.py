"""The connection, as far as packets see it."""

from typing import Protocol
from uuid import UUID

from starpost.auth.principal import Principal
from starpost.protocol.codecs import Codec


class Caller(Protocol):
    """Who sends the packets of one connection, and what its system packets may do to it."""

    @property
    def id(self) -> str:
        """The connection's id."""
        ...

    @property
    def address(self) -> str | None:
        """Address of the client, if the server knows it."""
        ...

    @property
    def principal(self) -> Principal | None:
        """``None`` until the connection is authenticated."""
        ...

    @property
    def allowed(self) -> frozenset[int]:
        """The positive ``pkg_id``s it may send, known beforehand: a packet's check is one set membership."""
        ...

    @property
    def codec(self) -> Codec:
        """How it writes packets."""
        ...

    @property
    def interrupted(self) -> str | None:
        """Why the running packet is being cancelled on purpose (deadline, CANCEL); ``None`` while it is not."""
        ...

    async def authenticate(self, token: str) -> Principal:
        """Verify the token and take its principal, or replace the present one of the same user.

        Raises:
            UnauthenticatedError: The token is not accepted.
            DifferentUserError: It is another user's.
            UnavailableError: It cannot be judged now.
        """
        ...

    def cancel(self, req_id: UUID) -> bool:
        """Interrupt the running packet; whether there was one."""
        ...
