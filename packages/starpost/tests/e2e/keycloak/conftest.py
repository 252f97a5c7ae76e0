"""The application in a real server, before the development realm and, under `make test-keycloak`, the real Keycloak."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

from starpost.testing import Serve
from starpost.testing.launched import Launched
from starpost.testing.packet_client import PacketClient, packet_client
from starpost.testing.plain_http import NO_TLS
from starpost_dev.testing.realm import IdentityServer
from tests.keycloak.conftest import admin, new_user, server
from tests.specimen import SPECIMEN

__all__ = ["admin", "new_user", "server"]


class Application:
    """One node; what it opens is closed with the test."""

    def __init__(self, launched: Launched, stack: AsyncExitStack) -> None:
        self.launched = launched
        self._stack = stack
        self._http = httpx.AsyncClient(verify=NO_TLS, base_url=f"http://127.0.0.1:{launched.port}", timeout=100)
        stack.push_async_callback(self._http.aclose)

    async def open(self, token: str | None = None, **options: Any) -> PacketClient:
        """Connect, with the token in the header if there is one."""
        return await self._stack.enter_async_context(packet_client(self.launched.port, token, **options))

    async def http(self, method: str, path: str, token: str, **options: Any) -> httpx.Response:
        """One request."""
        return await self._http.request(method, path, headers={"Authorization": f"Bearer {token}"}, **options)


def settings_of(server: IdentityServer, name: str) -> dict[str, str]:
    """The settings of a node that trusts this server; nodes of two servers share nothing."""
    return {
        "KEYCLOAK_BASE_URL": server.base_url,
        "NODE_NAME": name,
        "REDIS_PREFIX": "development" if server.is_development else "keycloak",
        "WS_MAX_CONNECTIONS_PER_USER": "1000",
        "KEYCLOAK_JWKS_COOLDOWN": "0.5",
        # The load tests send as fast as the machine can, and ask for identity and not for limits.
        "USER_RATE_LIMIT": "0",
        "WS_RATE_LIMIT": "0",
    }


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as made:
        yield made


@pytest.fixture
def application(serve: Serve, server: IdentityServer, stack: AsyncExitStack) -> Application:
    """A node of two workers, told of logouts; the same for all tests of one server."""
    launched = serve(target=SPECIMEN, WORKERS="2", **settings_of(server, "one"))
    server.set_backchannel_logout_url(f"http://127.0.0.1:{launched.port}/auth/backchannel-logout")
    return Application(launched, stack)
