"""System packets of the framework: negative numbers, allowed to every authenticated user."""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta, Struct

from starpost.errors import NotFoundError
from starpost.packets.caller import Caller
from starpost.packets.numbers import SystemPacket
from starpost.packets.request import RequestModel
from starpost.packets.router import PackageRouter


class AuthRequest(Struct, frozen=True):
    """Payload of AUTH: a Keycloak access token. Its ``repr`` is never logged."""

    token: Annotated[str, Meta(min_length=1)]

    def __repr__(self) -> str:
        return "AuthRequest(token='***')"


class AuthReply(Struct, frozen=True):
    """Reply to AUTH: the user of the connection, and the expiry of the token."""

    user: str
    roles: list[str]
    expires_at: datetime
    connection_id: str


class CancelRequest(Struct, frozen=True):
    """Payload of CANCEL: the packet to stop."""

    req_id: UUID


class Closing(Struct, frozen=True):
    """Last packet before the server closes; ``after_ms`` is the delay before the client should reconnect."""

    code: int
    reason: str
    reconnect: bool
    after_ms: int


class TokenExpiring(Struct, frozen=True):
    """Warning that the connection closes at ``expires_at``, unless AUTH brings another token."""

    expires_at: datetime


system_router = PackageRouter()


@system_router.register(SystemPacket.PING)
async def ping(request: RequestModel[dict[str, Any]]) -> dict[str, Any]:
    """Answer at once, and repeat ``data``."""
    return request.data


@system_router.register(SystemPacket.AUTH)
async def authenticate(request: RequestModel[AuthRequest], connection: Caller) -> AuthReply:
    """Authenticate the connection, or replace its token."""
    principal = await connection.authenticate(request.data.token)
    return AuthReply(
        principal.username,
        sorted(principal.roles),
        datetime.fromtimestamp(principal.expires_at, UTC),
        connection.id,
    )


@system_router.register(SystemPacket.CANCEL)
async def cancel(request: RequestModel[CancelRequest], connection: Caller) -> None:
    """Stop a running packet of this connection; its own reply is status 8."""
    if not connection.cancel(request.data.req_id):
        raise NotFoundError("No packet with this req_id is running")
