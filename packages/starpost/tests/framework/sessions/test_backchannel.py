"""The route that takes logout tokens."""

from collections.abc import AsyncIterator
from urllib.parse import urlencode

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from starpost.auth.logout_token import Logout
from starpost.errors import UnavailableError
from starpost.http.problems import problem_handlers
from starpost.sessions.backchannel import MAX_BODY, PATH, backchannel_logout_route
from tests.framework.auth.test_logout_token import logout_token, tokens

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Ended:
    """What the route was asked to end."""

    def __init__(self) -> None:
        self.logouts: list[Logout] = []
        self.is_away = False

    async def end_sessions(self, logout: Logout) -> bool:
        if self.is_away:
            raise UnavailableError("Not every worker could be told")
        if any(logout.token_id == earlier.token_id for earlier in self.logouts):
            return False
        self.logouts.append(logout)
        return True


@pytest.fixture
def ended() -> Ended:
    return Ended()


@pytest.fixture
async def client(ended: Ended) -> AsyncIterator[AsyncTestClient[Litestar]]:
    route = backchannel_logout_route(await tokens(), ended.end_sessions)
    app = Litestar([route], exception_handlers=problem_handlers(), openapi_config=None)
    async with AsyncTestClient(app) as client:
        yield client


async def test_a_logout(client: AsyncTestClient[Litestar], ended: Ended) -> None:
    answer = await client.post(PATH, data={"logout_token": logout_token(sid="s7")})
    assert (answer.status_code, answer.content, answer.headers["Cache-Control"]) == (200, b"", "no-store")
    assert [logout.session_id for logout in ended.logouts] == ["s7"]


async def test_a_token_counts_once(client: AsyncTestClient[Litestar]) -> None:
    token = logout_token()
    assert (await client.post(PATH, data={"logout_token": token})).status_code == 200
    again = await client.post(PATH, data={"logout_token": token})
    assert again.status_code == 400
    assert again.json() == {"error": "invalid_request", "error_description": "The logout token has been used before"}
    assert again.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, b""),
        (FORM, b""),
        (FORM, b"logout_token="),
        (FORM, b"token=x"),
        (FORM, b"logout_token=a&logout_token=b"),
        (FORM, b"logout_token=%ff%fe"),
        (FORM, "logout_token=ü".encode()),
        (FORM, b"&".join(b"x=1" for _ in range(100))),
        (FORM, b"\xff\xfe\x00"),
        ({"Content-Type": "application/json"}, b'{"logout_token": "x"}'),
        ({"Content-Type": "text/plain"}, urlencode({"logout_token": logout_token()}).encode()),
        ({"Content-Type": "multipart/form-data; boundary=x"}, b"--x--"),
    ],
)
async def test_bad_requests(
    client: AsyncTestClient[Litestar], ended: Ended, headers: dict[str, str], body: bytes
) -> None:
    answer = await client.post(PATH, content=body, headers=headers)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (400, "no-store")
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.json()["error"] == "invalid_request"
    assert not ended.logouts


async def test_a_form_with_a_charset_and_other_fields(client: AsyncTestClient[Litestar], ended: Ended) -> None:
    body = urlencode({"state": "x", "logout_token": logout_token()})
    headers = {"Content-Type": "Application/X-WWW-form-urlencoded; charset=UTF-8"}
    assert (await client.post(PATH, content=body, headers=headers)).status_code == 200
    assert len(ended.logouts) == 1


async def test_a_body_that_is_too_large(client: AsyncTestClient[Litestar]) -> None:
    answer = await client.post(PATH, content=b"logout_token=" + b"x" * MAX_BODY, headers=FORM)
    assert answer.status_code == 413


async def test_redis_away(client: AsyncTestClient[Litestar], ended: Ended) -> None:
    ended.is_away = True
    answer = await client.post(PATH, data={"logout_token": (token := logout_token())})
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["Cache-Control"] == "no-store"
    ended.is_away = False
    assert (await client.post(PATH, data={"logout_token": token})).status_code == 200, "it may be sent again"
