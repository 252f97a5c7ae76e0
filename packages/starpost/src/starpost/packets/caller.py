"""Connection, as packets see it."""

from typing import Protocol
from uuid import UUID

from starpost.auth.principal import Principal
from starpost.protocol.codecs import Codec


class Caller(Protocol):
    """Sender of packets: a connection, with the operations that its system packets need."""

    @property
    def id(self) -> str:
        """Id of the connection."""
        ...

    @property
    def address(self) -> str | None:
        """Address of the client, if the server knows it."""
        ...

    @property
    def principal(self) -> Principal | None:
        """Principal of the connection; ``None`` until it is authenticated."""
        ...

    @property
    def allowed(self) -> frozenset[int]:
        """Positive ``pkg_id``s that it may send, computed in advance: checking a packet is one set membership."""
        ...

    @property
    def codec(self) -> Codec:
        """Codec of its frames."""
        ...

    @property
    def interrupted(self) -> str | None:
        """Reason for which the running packet is cancelled on purpose (deadline, CANCEL); ``None`` if it is not."""
        ...

    async def authenticate(self, token: str) -> Principal:
        """Verify the token and adopt its principal, or replace the present one of the same user.

        Raises:
            UnauthenticatedError: The token is not accepted.
            DifferentUserError: It belongs to another user.
            UnavailableError: It cannot be verified now.
        """
        ...

    def cancel(self, req_id: UUID) -> bool:
        """Interrupt the running packet with this id, and return whether there was one."""
        ...
