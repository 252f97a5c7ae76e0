"""Connections to one of several nodes."""

from contextlib import AsyncExitStack
from typing import Any

from starpost.testing.issuer import Issuer
from starpost.testing.launched import Launched
from starpost.testing.packet_client import PacketClient, packet_client

READER = {"roles": ["author-reader"]}
ADMIN = {"roles": ["author-reader", "author-editor", "admin"]}


class Clients:
    """Opens connections, and closes them at the end of a test.

    Args:
        nodes: The servers.
        issuer: Signs the tokens.
        stack: Ends with the test.
        roles: ``realm_access`` of who names no other.
    """

    def __init__(self, nodes: list[Launched], issuer: Issuer, stack: AsyncExitStack, *, roles: Any = ADMIN) -> None:
        self.nodes = nodes
        self._issuer = issuer
        self._stack = stack
        self._roles = roles

    async def __call__(self, user: str = "alice", *, node: int = 0, roles: Any = None, **options: Any) -> PacketClient:
        token = self._issuer.token(
            sub=user, preferred_username=user, realm_access=roles or self._roles, resource_access=None
        )
        return await self._stack.enter_async_context(packet_client(self.nodes[node].port, token, **options))
