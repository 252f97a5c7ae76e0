"""Pages of other origins, without DEBUG_AUTH: a browser has nothing to bring along, and lets them read nothing."""

import pytest

from starpost.testing import Serve, plain_http
from starpost.testing.issuer import Issuer
from starpost.testing.launched import Launched
from starpost.testing.packet_client import packet_client
from tests.framework.probe import ProbeID

EVIL = "https://evil.example"


@pytest.fixture(name="server")
def _server(serve: Serve) -> Launched:
    return serve()


@pytest.mark.parametrize("name", ["Authorization", "access_token", "KEYCLOAK_IDENTITY"])
async def test_a_cookie_is_no_credential(server: Launched, issuer: Issuer, name: str) -> None:
    """A browser sends cookies along with whatever a page of another origin asks for."""
    cookie = {"Cookie": f"{name}={issuer.token()}"}
    answer = plain_http.get(f"http://127.0.0.1:{server.port}/connections", headers=cookie)
    assert answer.status_code == 401
    assert answer.headers.get("set-cookie") is None
    async with packet_client(server.port, additional_headers=cookie) as client:
        assert (await client.ask(ProbeID.WHO))["status_code"] == 9


def test_no_answer_may_be_read(server: Launched, issuer: Issuer) -> None:
    """There is no CORS: neither the answer nor the question before it allows anything."""
    url = f"http://127.0.0.1:{server.port}/probe/bodies"
    preflight = {
        "Origin": EVIL,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    answers = [
        plain_http.request("OPTIONS", url, headers=preflight),
        plain_http.get(f"http://127.0.0.1:{server.port}/health/live", headers={"Origin": EVIL}),
        plain_http.post(url, headers={"Origin": EVIL, "Authorization": f"Bearer {issuer.token()}"}, json={"name": "a"}),
    ]
    assert [answer.status_code for answer in answers] == [401, 200, 201]
    for answer in answers:
        assert [name for name in answer.headers if name.startswith("access-control-")] == []
