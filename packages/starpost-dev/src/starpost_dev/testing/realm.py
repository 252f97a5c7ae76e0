"""Identity servers for tests: the development realm and the real Keycloak behind one interface.

The plugin has the fixtures `realm` and `keycloak`, one of each for a run. A test that stops one or removes its keys
restores it, or starts a server of its own.

`make test-keycloak` sets `STARPOST_TEST_KEYCLOAK=1`; without it no test starts the real server.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from keycloak import KeycloakAdmin, KeycloakOpenIDConnection

from starpost.testing import plain_http
from starpost_dev.layout import REALM_FILE
from starpost_dev.realm.process import RealmProcess, StartError

REALM = "starpost"
CLIENT = "starpost"
KEY_PROVIDER = "org.keycloak.keys.KeyProvider"

#: True if this run uses the real server too.
WITH_KEYCLOAK = os.environ.get("STARPOST_TEST_KEYCLOAK") == "1"

DEVELOPMENT_REALM = "starpost_dev.realm"
REAL_KEYCLOAK = "starpost_dev.keycloak"
_UNAVAILABLE = 3


class IdentityServer:
    """Server with Keycloak's endpoints and the realm of a file."""

    def __init__(self, state: Path, module: str, realm_file: Path = REALM_FILE) -> None:
        self._process = RealmProcess(state, module=module, realm_file=realm_file)
        #: True for the development realm, False for the real Keycloak.
        self.is_development = module == DEVELOPMENT_REALM
        #: Base URL; the same after `stop` and `start`.
        self.base_url = self._process.start()

    @property
    def issuer(self) -> str:
        """URL of the realm, `iss` of its tokens."""
        return f"{self.base_url}/realms/{REALM}"

    @property
    def protocol(self) -> str:
        """Common prefix of the protocol endpoints' URLs."""
        return f"{self.issuer}/protocol/openid-connect"

    def start(self) -> None:
        """Start the server again, at the same address and with the same state."""
        self._process.start()

    def stop(self) -> None:
        """Stop the server; its state stays."""
        self._process.stop()

    def post(self, endpoint: str, **form: str) -> httpx.Response:
        """Post a form to a protocol endpoint."""
        return plain_http.post(f"{self.protocol}/{endpoint}", data=form)

    def get(self, endpoint: str, *, token: str | None = None) -> httpx.Response:
        """Get a protocol endpoint, with a bearer token if there is one."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return plain_http.get(f"{self.protocol}/{endpoint}", headers=headers)

    def sign_in(
        self, user: str, *, password: str | None = None, client: str = CLIENT, scope: str | None = "openid"
    ) -> httpx.Response:
        """Request tokens by the password grant. The default password is the name."""
        form = {"username": user, "password": user if password is None else password}
        if scope is not None:
            form["scope"] = scope
        return self.post("token", grant_type="password", client_id=client, **form)

    def refresh(self, refresh_token: str, *, client: str = CLIENT) -> httpx.Response:
        """Request tokens with a refresh token."""
        return self.post("token", grant_type="refresh_token", client_id=client, refresh_token=refresh_token)

    def tokens(self, user: str, **options: Any) -> dict[str, Any]:
        """Sign in a user, and return the token endpoint's answer."""
        answer = self.sign_in(user, **options)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def token(self, user: str, **options: Any) -> str:
        """Sign in a user, and return the access token."""
        return str(self.tokens(user, **options)["access_token"])

    def admin(self, user: str = "realm-admin") -> KeycloakAdmin:
        """Make python-keycloak's administration client: `realm-admin` for users, `realm-operator` for the realm."""
        connection = KeycloakOpenIDConnection(
            server_url=self.base_url,
            username=user,
            password=user,
            realm_name=REALM,
            user_realm_name=REALM,
            # The server has no TLS, and reading the system's certificates is the slowest part of making a client.
            verify=False,
            timeout=100,
        )
        return KeycloakAdmin(connection=connection)

    def rotate_keys(self) -> str:
        """Add a signing key with the highest priority, and return the `kid` that signs from now on.

        The earlier keys stay published, as in production.
        """
        operator = self.admin("realm-operator")
        keys = operator.get_components({"type": KEY_PROVIDER})
        highest = max(int(key["config"]["priority"][0]) for key in keys)
        operator.create_component(
            {
                "name": f"rotated-{highest + 1}",
                "providerId": "rsa-generated",
                "providerType": KEY_PROVIDER,
                "parentId": operator.get_realm(REALM)["id"],
                "config": {"priority": [str(highest + 1)]},
            }
        )
        return str(operator.get_keys()["active"]["RS256"])

    def remove_keys_but(self, kid: str) -> None:
        """Remove all signing keys except one, which makes the tokens of the others invalid."""
        operator = self.admin("realm-operator")
        for key in operator.get_keys()["keys"]:
            if key["algorithm"] == "RS256" and key["kid"] != kid:
                operator.delete_component(key["providerId"])

    def set_backchannel_logout_url(self, url: str, *, client: str = CLIENT) -> None:
        """Set the URL of the application that receives logout tokens."""
        operator = self.admin("realm-operator")
        uuid = operator.get_client_id(client)
        representation = operator.get_client(str(uuid))
        representation["attributes"]["backchannel.logout.url"] = url
        operator.update_client(str(uuid), representation)


def start_development_realm(state: Path, realm_file: Path = REALM_FILE) -> IdentityServer:
    """Start a separate development realm, for a test that stops it or changes its users."""
    return IdentityServer(state, DEVELOPMENT_REALM, realm_file)


def start_keycloak(state: Path, realm_file: Path = REALM_FILE) -> IdentityServer:
    """Start a real Keycloak. Skip the test where it cannot run."""
    try:
        return IdentityServer(state, REAL_KEYCLOAK, realm_file)
    except StartError as error:
        if error.status == _UNAVAILABLE:
            pytest.skip(str(error))
        raise


@pytest.fixture(scope="session")
def realm_file() -> Path:
    """The realm that `realm` and `keycloak` hold: the project's, `docker/keycloak/realm.json`."""
    return REALM_FILE


@pytest.fixture(scope="session")
def realm(tmp_path_factory: pytest.TempPathFactory, realm_file: Path) -> Iterator[IdentityServer]:
    """Run a development realm, one for the test session."""
    server = start_development_realm(tmp_path_factory.mktemp("realm"), realm_file)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def keycloak(tmp_path_factory: pytest.TempPathFactory, realm_file: Path) -> Iterator[IdentityServer]:
    """Run a real Keycloak, one for the test session. Skip the test if it is not requested or cannot run."""
    if not WITH_KEYCLOAK:
        pytest.skip("the real Keycloak runs under `make test-keycloak`")
    server = start_keycloak(tmp_path_factory.mktemp("keycloak"), realm_file)
    yield server
    server.stop()
