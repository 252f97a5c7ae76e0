"""Both servers for every test of the contract, and what stands at the other end of their conversations."""

from __future__ import annotations

import queue
import threading
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs

import jwt
import pytest

from keycloak import KeycloakAdmin
from starpost_dev.testing.realm import CLIENT, WITH_KEYCLOAK, IdentityServer
from tests.specimen import REALM_FILE

SERVERS = ["realm", pytest.param("keycloak", marks=pytest.mark.real_keycloak)] if WITH_KEYCLOAK else ["realm"]


@pytest.fixture(scope="session")
def realm_file() -> Path:
    """The specimen's."""
    return REALM_FILE


@pytest.fixture(scope="session", params=SERVERS)
def server(request: pytest.FixtureRequest) -> IdentityServer:
    """The development realm, and under `make test-keycloak` the real Keycloak too."""
    found: IdentityServer = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="session")
def admin(server: IdentityServer) -> KeycloakAdmin:
    """The administration client that the application uses."""
    return server.admin()


@pytest.fixture(scope="session")
def verify(server: IdentityServer) -> Callable[..., dict[str, Any]]:
    """Verify a token by the published keys, as any resource server does, and return its claims."""

    def verify_token(token: str, audience: str = CLIENT) -> dict[str, Any]:
        keys = jwt.PyJWKClient(f"{server.protocol}/certs", cache_keys=False)
        claims: dict[str, Any] = jwt.decode(
            token,
            keys.get_signing_key_from_jwt(token).key,
            algorithms=["RS256"],
            issuer=server.issuer,
            audience=audience,
            options={"require": ["exp", "iat", "iss", "aud", "sub"]},
        )
        return claims

    return verify_token


@pytest.fixture
def new_user(admin: KeycloakAdmin) -> Iterator[Callable[..., str]]:
    """Make users with the password `secret`, who are removed after the test; returns their names."""
    made: list[str] = []

    def make(**members: Any) -> str:
        name = f"user-{uuid.uuid4().hex[:8]}"
        made.append(
            admin.create_user(
                {
                    "username": name,
                    "email": f"{name}@example.org",
                    "firstName": "New",
                    "lastName": "User",
                    "enabled": True,
                    "credentials": [{"type": "password", "value": "secret", "temporary": False}],
                    **members,
                }
            )
        )
        return name

    yield make
    remaining = {user["id"] for user in admin.get_users({})}
    for user_id in made:
        if user_id in remaining:
            admin.delete_user(user_id)


class LogoutReceiver:
    """The application's end of back-channel logout: it keeps what the server posts.

    Args:
        status: the HTTP status that it answers with.
    """

    def __init__(self, status: int = 200) -> None:
        self.tokens: queue.Queue[str] = queue.Queue()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                assert self.headers["Content-Type"].startswith("application/x-www-form-urlencoded")
                receiver.tokens.put(parse_qs(body).get("logout_token", [""])[0])
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}/auth/backchannel-logout"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def next(self) -> str:
        """The next logout token."""
        return self.tokens.get(timeout=100)

    def close(self) -> None:
        """Stop listening."""
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@pytest.fixture
def receiver(server: IdentityServer) -> Iterator[LogoutReceiver]:
    """Receives the logout tokens of the client `starpost`."""
    with LogoutReceiver() as made:
        server.set_backchannel_logout_url(made.url)
        yield made


def header_of(token: str) -> dict[str, Any]:
    """The header of a token, unverified."""
    found: dict[str, Any] = jwt.get_unverified_header(token)
    return found


def claims_of(token: str) -> dict[str, Any]:
    """The claims of a token, unverified: for those that only the server itself reads."""
    found: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return found
