"""The same permissions over real sockets: ``python -m app``, tokens of the realm, HTTP, packets.

What a user may do is not tried here, as it might do something; each domain's tests do it on data of their own.
"""

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from app.settings import Settings
from starpost.rbac import ActionTable
from starpost.testing import plain_http, serving
from starpost.testing.launched import Launched
from starpost.testing.packet_client import packet_client
from starpost_dev.services.services import Services

ROOT = Path.cwd()

USERS = ("alice", "carol", "bob", "erin", "mallory")
PING = -1
PERMISSION_DENIED = 3
TABLE = ActionTable.load(ROOT / "actions.json")
ROUTES = [route for route, rule in TABLE.http.items() if not rule.is_public]


@pytest.fixture(scope="module")
def tokens(services: Services) -> dict[str, str]:
    """Each user's access token; a password is the user's name."""
    settings = Settings.from_strings(services.environment())
    url = f"{settings.keycloak_base_url}/realms/{settings.keycloak_realm}/protocol/openid-connect/token"
    grant = {"grant_type": "password", "client_id": settings.keycloak_client_id, "scope": "openid"}
    answers = {user: plain_http.post(url, data=grant | {"username": user, "password": user}) for user in USERS}
    return {user: str(answer.raise_for_status().json()["access_token"]) for user, answer in answers.items()}


@pytest.fixture(scope="module")
def served(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    with serving(services.environment(), tmp_path_factory.mktemp("app")) as launched:
        yield launched


@pytest.fixture(scope="module")
def served_with_debug_auth(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    options = {"DEBUG_AUTH": "true", "DEBUG_AUTH_USERNAME": "bob", "DEBUG_AUTH_PASSWORD": "bob"}
    with serving(services.environment(), tmp_path_factory.mktemp("debug"), **options) as launched:
        yield launched


def request(served: Launched, method: str, path: str, **options: Any) -> httpx.Response:
    return plain_http.request(method, f"http://127.0.0.1:{served.port}{path}", **options)


def path_of(template: str) -> str:
    return re.sub(r"{\w+}", "999999999", template)


def roles_of(token: str) -> frozenset[str]:
    """Roles as the application reads them."""
    claims = claims_of(token)
    client = claims.get("resource_access", {}).get(claims["azp"], {})
    return frozenset(claims.get("realm_access", {}).get("roles", [])) | frozenset(client.get("roles", []))


def claims_of(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


@pytest.mark.parametrize("user", USERS)
def test_routes_that_a_user_may_not_ask(served: Launched, tokens: dict[str, str], user: str) -> None:
    for template, method in ROUTES:
        if TABLE.http[template, method].allows(roles_of(tokens[user])):
            continue
        answer = request(served, method, path_of(template), headers={"Authorization": f"Bearer {tokens[user]}"})

        assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied"), f"{method} {template}"


def test_routes_without_a_token(served: Launched) -> None:
    for template, method in ROUTES:
        answer = request(served, method, path_of(template))

        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token"), f"{method} {template}"
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_administrators_alone_see_connections(served: Launched, tokens: dict[str, str]) -> None:
    statuses = {
        user: request(served, "GET", "/connections", headers={"Authorization": f"Bearer {tokens[user]}"}).status_code
        for user in USERS
    }

    assert statuses == {user: 200 if "admin" in roles_of(tokens[user]) else 403 for user in USERS}
    assert set(statuses.values()) == {200, 403}


@pytest.mark.parametrize("authorization", ["Bearer nonsense", "Basic YWxpY2U6YWxpY2U=", "Bearer"])
def test_a_bad_token(served: Launched, authorization: str) -> None:
    answer = request(served, "GET", "/connections", headers={"Authorization": authorization})

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith('Bearer error="invalid_token"')


@pytest.mark.parametrize("user", USERS)
async def test_packets_that_a_user_may_not_send(served: Launched, tokens: dict[str, str], user: str) -> None:
    async with packet_client(served.port, tokens[user]) as client:
        assert (await client.ask(PING))["status_code"] == 0
        for number in TABLE.ws.keys() - TABLE.packets_for(roles_of(tokens[user])):
            assert (await client.ask(number))["status_code"] == PERMISSION_DENIED, number


async def test_debug_auth(served_with_debug_auth: Launched, tokens: dict[str, str]) -> None:
    served = served_with_debug_auth
    assert request(served, "GET", "/connections").status_code == 403, "the debug user is bob"
    assert request(served, "GET", "/connections", headers={"Authorization": "Bearer nonsense"}).status_code == 401
    alice = {"Authorization": f"Bearer {tokens['alice']}"}
    assert request(served, "GET", "/connections", headers=alice).status_code == 200

    bob = TABLE.packets_for(roles_of(tokens["bob"]))
    async with packet_client(served.port) as client:
        assert (await client.ask(PING))["status_code"] == 0
        for number in TABLE.ws.keys() - bob:
            assert (await client.ask(number))["status_code"] == PERMISSION_DENIED


PAGES_OF_OTHERS: list[dict[str, str]] = [
    {"Origin": "http://evil.example"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]


@pytest.mark.parametrize("headers", PAGES_OF_OTHERS)
async def test_debug_auth_is_not_for_pages_of_others(served_with_debug_auth: Launched, headers: dict[str, str]) -> None:
    """Their requests bring no token, and would be the debug user's."""
    served = served_with_debug_auth
    answer = request(served, "DELETE", "/connections?user=x", headers=headers)
    assert (answer.status_code, answer.json()["detail"]) == (403, "DEBUG_AUTH serves no pages of other origins")
    with pytest.raises(InvalidStatus) as refused:
        async with packet_client(served.port, additional_headers=headers):
            pass
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://127.0.0.1:{port}"}])
def test_debug_auth_is_for_our_own_pages(served_with_debug_auth: Launched, headers: dict[str, str]) -> None:
    served = served_with_debug_auth
    headers = {name: value.format(port=served.port) for name, value in headers.items()}
    answer = request(served, "DELETE", "/connections?user=x", headers=headers)
    assert answer.json()["detail"] == "Permission denied", "the debug user is bob"


def test_no_token_is_logged(served: Launched, tokens: dict[str, str]) -> None:
    request(served, "GET", f"/connections?Authorization=Bearer%20{tokens['alice']}")
    request(served, "GET", "/connections", headers={"Authorization": f"Bearer {tokens['alice']}"})

    log = served.output.read_text()
    assert "listening" in log
    assert tokens["alice"] not in log
    assert tokens["alice"].rsplit(".", 1)[1] not in log
