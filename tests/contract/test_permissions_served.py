"""The same permissions over real sockets: ``python -m app``, tokens of the development realm, HTTP and packets."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from starpost.testing import plain_http, serving
from starpost.testing.launched import Launched
from starpost.testing.packet_client import packet_client
from starpost_dev.services.services import Services
from tests.contract.test_permissions import PACKETS, ROUTES

USERS = {
    "alice": {"author-reader", "author-editor", "admin"},
    "carol": {"author-reader", "author-editor"},
    "bob": {"author-reader"},
    "erin": {"author-reader"},
    "mallory": set[str](),
}
NUMBERS = {name: number for number, name in enumerate(PACKETS, start=1)}
NO_SUCH_AUTHOR = "/authors/999999999"
PERMISSION_DENIED = 3


@pytest.fixture(scope="module")
def tokens(services: Services) -> dict[str, str]:
    """Each user's access token; a password is the user's name."""
    url = f"{services.environment()['KEYCLOAK_BASE_URL']}/realms/starpost/protocol/openid-connect/token"
    grant = {"grant_type": "password", "client_id": "starpost", "scope": "openid"}
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
    return plain_http.request(method, f"http://127.0.0.1:{served.port}{path}", timeout=30, **options)


def path_of(template: str) -> str:
    return template.replace("/authors/{author_id}", NO_SUCH_AUTHOR)


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize(("template", "method"), ROUTES)
def test_routes(served: Launched, tokens: dict[str, str], template: str, method: str, user: str) -> None:
    # Whoever may is told that nothing is there or that the body is wrong; nothing is written.
    answer = request(served, method, path_of(template), headers={"Authorization": f"Bearer {tokens[user]}"})

    if ROUTES[template, method] in USERS[user]:
        assert answer.status_code in {200, 400, 404}
    else:
        assert answer.status_code == 403
        assert answer.json()["code"] == "permission_denied"


@pytest.mark.parametrize(("template", "method"), ROUTES)
def test_routes_without_a_token(served: Launched, template: str, method: str) -> None:
    answer = request(served, method, path_of(template))

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.json()["code"] == "invalid_token"


@pytest.mark.parametrize("authorization", ["Bearer nonsense", "Basic YWxpY2U6YWxpY2U=", "Bearer"])
def test_a_bad_token(served: Launched, authorization: str) -> None:
    answer = request(served, "GET", "/authors", headers={"Authorization": authorization})

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith('Bearer error="invalid_token"')


@pytest.mark.parametrize("user", USERS)
async def test_packets(served: Launched, tokens: dict[str, str], user: str) -> None:
    async with packet_client(served.port, tokens[user]) as client:
        denied = {
            name
            for name, number in NUMBERS.items()
            if (await client.ask(number, {}))["status_code"] == PERMISSION_DENIED
        }

    assert denied == {name for name, role in PACKETS.items() if role not in USERS[user]}


async def test_debug_auth(served_with_debug_auth: Launched, tokens: dict[str, str]) -> None:
    served = served_with_debug_auth
    assert request(served, "GET", "/authors").status_code == 200
    assert request(served, "DELETE", NO_SUCH_AUTHOR).status_code == 403, "the debug user is bob"
    assert request(served, "GET", "/authors", headers={"Authorization": "Bearer nonsense"}).status_code == 401
    alice = {"Authorization": f"Bearer {tokens['alice']}"}
    assert request(served, "DELETE", NO_SUCH_AUTHOR, headers=alice).status_code == 404

    async with packet_client(served.port) as client:
        assert (await client.ask(NUMBERS["GET_AUTHORS"], {}))["status_code"] == 0
        assert (await client.ask(NUMBERS["DELETE_AUTHOR"], {}))["status_code"] == PERMISSION_DENIED


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
    for method in ("POST", "DELETE"):
        answer = request(served, method, "/connections?user=x" if method == "DELETE" else "/authors", headers=headers)
        assert (answer.status_code, answer.json()["detail"]) == (403, "DEBUG_AUTH serves no pages of other origins")
    with pytest.raises(InvalidStatus) as refused:
        async with packet_client(served.port, additional_headers=headers):
            pass
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://127.0.0.1:{port}"}])
def test_debug_auth_is_for_our_own_pages(served_with_debug_auth: Launched, headers: dict[str, str]) -> None:
    served = served_with_debug_auth
    headers = {name: value.format(port=served.port) for name, value in headers.items()}
    answer = request(served, "DELETE", NO_SUCH_AUTHOR, headers=headers)
    assert answer.json()["detail"] == "Permission denied", "the debug user is bob"


def test_no_token_is_logged(served: Launched, tokens: dict[str, str]) -> None:
    request(served, "GET", f"/authors?Authorization=Bearer%20{tokens['alice']}")
    request(served, "GET", "/authors", headers={"Authorization": f"Bearer {tokens['alice']}"})

    log = served.output.read_text()
    assert "listening" in log
    assert tokens["alice"] not in log
    assert tokens["alice"].rsplit(".", 1)[1] not in log
