"""Headers of every answer, whoever makes it: one walk over all of them."""

from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from starpost.http.headers import security_headers
from starpost.settings import Settings
from starpost.testing import Serve, plain_http
from starpost.testing.issuer import Issuer
from starpost.testing.launched import Launched
from starpost.testing.packet_client import packet_client
from tests.framework import raw_http
from tests.framework.test_settings import SECRETS

JSON = {"Content-Type": "application/json"}
FOREIGN = {"Host": "evil.example"}
TOKEN = "needs a token"


@pytest.fixture(name="server")
def _server(serve: Serve) -> Launched:
    """In production, on this machine, with everything that it may show."""
    return serve(
        ENVIRONMENT="production",
        ALLOWED_HOSTS="127.0.0.1",
        PUBLIC_IN_PRODUCTION="metrics,schema",
        ALLOW_INSECURE="db_ssl,keycloak_http,query_token,redis_password,redis_tls,shipped_realm",
        MAX_BODY_BYTES="4096",
        # Longer than a busy machine needs for the bodies that come.
        BODY_TIMEOUT="3",
        **{name.upper(): "a secret of our own" for name in SECRETS if not name.startswith(("db_", "redis_"))},
    )


ANSWERS: list[tuple[int, str, str, dict[str, Any]]] = [
    (200, "GET", "/probe/status?code=200", {"note": TOKEN}),
    (204, "GET", "/probe/status?code=204", {"note": TOKEN}),
    (304, "GET", "/probe/status?code=304", {"note": TOKEN}),
    (201, "POST", "/probe/bodies", {"note": TOKEN, "json": {"name": "a"}}),
    (500, "GET", "/probe/status?code=500", {"note": TOKEN}),
    (503, "GET", "/probe/status?code=503", {"note": TOKEN}),
    (429, "GET", "/probe/status?code=429", {"note": TOKEN}),
    (400, "GET", "/probe/status?code=x", {"note": TOKEN}),
    (413, "POST", "/probe/bodies", {"note": TOKEN, "content": b" " * 5000, "headers": JSON}),
    (403, "GET", "/connections", {"note": TOKEN}),
    (400, "GET", "/health/live", {"headers": FOREIGN}),
    (401, "GET", "/probe/status?code=200", {}),
    (404, "GET", "/nowhere", {}),
    (404, "GET", "/", {}),
    (405, "PUT", "/health/live", {}),
    (415, "POST", "/probe/leave", {"content": b"{}"}),
    (204, "OPTIONS", "/health/live", {}),
    (200, "GET", "/health/live", {}),
    (200, "GET", "/metrics", {}),
    (200, "GET", "/schema", {}),
    (200, "GET", "/schema/openapi.json", {}),
    (200, "GET", "/schema/asyncapi.json", {}),
    (200, "GET", "/schema/oauth2-redirect.html", {}),
    (200, "GET", "/schema/assets/swagger-ui.css", {}),
    (200, "HEAD", "/schema/assets/swagger-ui.css", {}),
]


@pytest.mark.parametrize(("status", "method", "path", "options"), ANSWERS, ids=str)
def test_every_answer(
    server: Launched, issuer: Issuer, status: int, method: str, path: str, options: dict[str, Any]
) -> None:
    options = dict(options)
    is_private = options.pop("note", None) is TOKEN
    headers = dict(options.pop("headers", {}))
    if is_private:
        token = issuer.token(realm_access={"roles": ["author-reader"]}, resource_access=None)
        headers["Authorization"] = f"Bearer {token}"
    url = f"http://127.0.0.1:{server.port}{path}"
    answer = plain_http.request(method, url, headers=headers, **options)
    assert answer.status_code == status
    check(answer.headers)
    if is_private or status >= 400:
        assert answer.headers["cache-control"] == "no-store"
    if answer.headers.get("content-type", "").startswith("text/html"):
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def check(headers: Any) -> None:
    """Each of them, once."""
    expected = {
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "strict-transport-security": "max-age=31536000",
    }
    for name, value in expected.items():
        assert headers[name] == value
    assert headers["x-request-id"]


def test_a_body_that_does_not_come(server: Launched, issuer: Issuer) -> None:
    head = [
        "POST /probe/bodies HTTP/1.1",
        f"Host: 127.0.0.1:{server.port}",
        f"Authorization: Bearer {issuer.token()}",
        "Content-Type: application/json",
        "Content-Length: 10",
    ]
    answer = raw_http.send(server.port, *head)
    assert answer.status == 408
    check(answer.headers)


@pytest.mark.parametrize(
    ("status", "options"), [(400, {"name": "localhost"}), (403, {"origin": "https://evil.example"})]
)
async def test_a_refused_handshake(server: Launched, issuer: Issuer, status: int, options: Any) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with packet_client(server.port, issuer.token(), **options):
            pass
    response = refused.value.response
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    check(response.headers)


def test_development_keeps_browsers_from_no_port_of_the_machine() -> None:
    """HSTS is for the name, whatever the port: it would lock a developer out of other applications."""
    names = [name for name, _ in security_headers(Settings())]
    assert b"strict-transport-security" not in names
    assert b"x-content-type-options" in names
