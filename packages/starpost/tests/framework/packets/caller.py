"""A caller without a socket, and the shortest way from declarations to an answered packet."""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Any, cast
from uuid import UUID, uuid4

import msgspec
from litestar.di import Provide

from starpost.auth.principal import Principal
from starpost.packets import Dispatcher, PackageRouter, PacketRegistry
from starpost.packets.numbers import SystemPacket
from starpost.packets.registry import freeze
from starpost.packets.system import system_router
from starpost.protocol import JSON, BadPacket, Codec, Packet

ALICE = Principal(
    user_id="1", username="alice", roles=frozenset({"admin"}), issued_at=0, expires_at=4_000_000_000, session_id=None
)

UNHANDLED = frozenset(map(int, SystemPacket)) - {
    int(pkg_id) for declaration in system_router.declarations for pkg_id in declaration.pkg_ids
}
"""The system's numbers that other parts handle, or that only the server sends."""


class ListedCaller:
    """May send what is listed."""

    id = "connection-1"
    address = "192.0.2.7"

    def __init__(self, allowed: Iterable[int] = (), principal: Principal | None = ALICE, codec: Codec = JSON) -> None:
        self.allowed = frozenset(allowed)
        self.principal = principal
        self.codec = codec
        self.interrupted: str | None = None
        self.tokens: list[str] = []
        self.cancelled: list[UUID] = []

    async def authenticate(self, token: str) -> Principal:
        self.tokens.append(token)
        self.principal = ALICE
        return ALICE

    def cancel(self, req_id: UUID) -> bool:
        self.cancelled.append(req_id)
        return len(self.cancelled) == 1


def numbers_of(**numbers: int) -> type[IntEnum]:
    """An enumeration of these; mypy takes the functional form for a member."""
    return cast("type[IntEnum]", IntEnum("Numbers", numbers))


class ID(IntEnum):
    """The numbers of the tests' packets."""

    ONE = 1
    TWO = 2
    THREE = 3


def registry_of(
    router: PackageRouter, providers: Mapping[str, Provide] | None = None, numbers: type[IntEnum] = ID
) -> tuple[PacketRegistry, list[str]]:
    """Freeze the router's declarations beside the system's."""
    return freeze(
        [*system_router.declarations, *router.declarations],
        numbers=(SystemPacket, numbers),
        providers=providers or {},
        pushed=UNHANDLED,
    )


def routes_of(router: PackageRouter, providers: Mapping[str, Provide] | None = None) -> PacketRegistry:
    """The registry of a router whose numbers are exactly those that it handles, and whose declarations are good."""
    used = sorted({int(pkg_id) for declaration in router.declarations for pkg_id in declaration.pkg_ids})
    registry, faults = registry_of(router, providers, numbers_of(**{f"P{number}": number for number in used}))
    assert not faults
    return registry


def packet(pkg_id: int, data: Any = msgspec.UNSET, codec: Codec = JSON, req_id: UUID | None = None) -> Packet:
    """A packet as the codec decodes it."""
    raw = data if data is msgspec.UNSET else msgspec.Raw(codec.encode(data))
    return Packet(pkg_id, req_id or uuid4(), raw)


async def ask(dispatcher: Dispatcher, caller: ListedCaller, question: Packet | BadPacket) -> dict[str, Any]:
    """The reply, decoded."""
    reply: dict[str, Any] = caller.codec.parse(await dispatcher.answer(caller, question))
    assert (reply["pkg_id"], reply["req_id"]) == (question.pkg_id, str(question.req_id))
    return reply
