"""The middleware and the guard on a real Litestar application, with tokens signed by real keys."""

import inspect
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from litestar import Litestar, MediaType, Request, Response, WebSocket, asgi, get, head, post, websocket
from litestar.config.cors import CORSConfig
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import SwaggerRenderPlugin
from litestar.params import FromPath
from litestar.types import Receive, Scope, Send

from starpost.auth import Authenticator, RealmVerifier, www_authenticate
from starpost.auth.http import AuthenticationMiddleware, compile_excluded
from starpost.errors import AppError, UnauthenticatedError
from starpost.http.middleware import wrap
from starpost.rbac import ActionTable
from starpost.rbac.guard import declared_routes, permission_guard
from starpost.testing.issuer import OTHER_RSA_KEY, Issuer
from tests.framework.limits.unlimited import no_limits

TABLE = ActionTable.parse(
    json.dumps(
        {
            "roles": ["author-reader", "author-editor", "owner"],
            "http": {
                "/things": {"GET": "author-reader", "POST": "owner", "HEAD": "owner"},
                "/things/{thing_id}": {"GET": ["author-reader", "owner"]},
                "/things/special": {"GET": {"any": ["owner", "author-reader"]}},
                "/me": {"GET": "authenticated"},
                "/open": {"GET": "public"},
                "/excluded": {"GET": "public"},
                "/excluded/closed": {"GET": "authenticated"},
                "/schema": {"GET": "authenticated"},
                "/schema/openapi.json": {"GET": "author-reader"},
                "/schema/swagger": {"GET": "owner"},
                "/schema/oauth2-redirect.html": {"GET": "public"},
            },
        }
    ).encode()
)


@get("/things", sync_to_thread=False)
def list_things() -> list[str]:
    return ["thing"]


@head("/things", sync_to_thread=False)
def head_things() -> None:
    """Nothing but headers."""


@post("/things", sync_to_thread=False)
def add_thing() -> str:
    return "added"


@get("/things/{thing_id:int}", sync_to_thread=False)
def get_thing(thing_id: FromPath[int]) -> int:
    return thing_id


@get("/things/special", sync_to_thread=False)
def special() -> str:
    return "special"


@get(["/me", "/open", "/excluded", "/excluded/closed", "/no-rule"], sync_to_thread=False)
def who(request: Request[Any, Any, Any]) -> dict[str, str | None]:
    user, reason = request.scope["user"], request.scope["auth"]
    return {"user": user.username if user else None, "reason": reason.code if reason else None}


@websocket("/web")
async def own_socket(socket: WebSocket[Any, Any, Any]) -> None:
    await socket.accept()
    await socket.close()


@websocket("/other")
async def other_socket(socket: WebSocket[Any, Any, Any]) -> None:
    await socket.accept()
    await socket.close()


@asgi("/mounted", is_mount=True, copy_scope=True)
async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"inside", "more_body": False})


def answer(_request: Request[Any, Any, Any], error: AppError) -> Response[str]:
    headers = {"WWW-Authenticate": www_authenticate(error)} if isinstance(error, UnauthenticatedError) else {}
    return Response(error.code, status_code=error.http_status, media_type=MediaType.TEXT, headers=headers)


def application(issuer: Issuer, verifier: RealmVerifier) -> Litestar:
    app = Litestar(
        [list_things, head_things, add_thing, get_thing, special, who, own_socket, other_socket, mounted],
        guards=[permission_guard(TABLE)],
        exception_handlers={AppError: answer},
        cors_config=CORSConfig(allow_origins=["https://trusted.example"]),
        openapi_config=OpenAPIConfig("test", "1", path="/schema", render_plugins=[SwaggerRenderPlugin()]),
        logging_config=None,
    )
    excluded = compile_excluded(["^/excluded", "^/never"])
    wrap(app, [lambda inner: AuthenticationMiddleware(inner, Authenticator(verifier), no_limits(), excluded)])
    return app


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    issuer = Issuer()
    yield issuer
    issuer.stop()


@pytest.fixture
async def client(issuer: Issuer) -> AsyncIterator[httpx.AsyncClient]:
    verifier = RealmVerifier(issuer.settings())
    transport = httpx.ASGITransport(application(issuer, verifier))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://app.example") as client:
        yield client
    await verifier.close()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize(
    ("method", "path", "roles", "status"),
    [
        ("GET", "/things", ["author-reader"], 200),
        ("GET", "/things/", ["author-reader"], 200),
        ("GET", "/things//", ["author-reader"], 200),
        ("GET", "/things", ["author-editor"], 403),
        ("GET", "/things", [], 403),
        ("POST", "/things", ["author-reader"], 403),
        ("POST", "/things", ["owner"], 201),
        ("HEAD", "/things", ["author-reader"], 403),
        ("HEAD", "/things", ["owner"], 200),
        ("OPTIONS", "/things", ["author-reader"], 204),
        ("OPTIONS", "/things", ["author-editor"], 403),
        ("GET", "/things/7", ["author-reader"], 403),
        ("GET", "/things/7", ["author-reader", "owner"], 200),
        ("GET", "/things/special", ["author-reader"], 200),
        ("GET", "/me", [], 200),
        ("GET", "/open", [], 200),
        ("GET", "/no-rule", ["author-reader", "owner"], 403),
        ("OPTIONS", "/no-rule", ["author-reader", "owner"], 403),
        ("GET", "/mounted/x", ["author-reader", "owner"], 403),
        ("GET", "/schema", [], 200),
        ("GET", "/schema/swagger", ["author-reader"], 403),
        ("GET", "/schema/openapi.json", ["author-reader"], 200),
        ("GET", "/schema/anything", ["owner"], 403),
    ],
)
async def test_who_may(
    issuer: Issuer, client: httpx.AsyncClient, method: str, path: str, roles: list[str], status: int
) -> None:
    token = issuer.token(realm_access={"roles": roles}, resource_access=None)

    assert (await client.request(method, path, headers=bearer(token))).status_code == status


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/things"), ("POST", "/things"), ("OPTIONS", "/me"), ("GET", "/schema")]
)
async def test_without_a_token(client: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await client.request(method, path)

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_no_rule_is_no_for_everybody(client: httpx.AsyncClient) -> None:
    assert (await client.get("/no-rule")).status_code == 403
    assert (await client.get("/mounted/x")).status_code == 403


async def test_a_bad_token(issuer: Issuer, client: httpx.AsyncClient) -> None:
    expired = await client.get("/me", headers=bearer(issuer.token(exp=1, iat=0)))
    basic = await client.get("/me", headers={"Authorization": "Basic YTpi"})
    twice = await client.get("/me", headers=[("Authorization", f"Bearer {issuer.token()}")] * 2)

    assert (expired.status_code, expired.text) == (401, "invalid_token"), "its key was not known yet"
    assert (basic.status_code, twice.status_code) == (401, 401)
    await client.get("/me", headers=bearer(issuer.token()))
    expired = await client.get("/me", headers=bearer(issuer.token(exp=1, iat=0)))
    assert (expired.status_code, expired.text) == (401, "token_expired")
    assert expired.headers["WWW-Authenticate"].startswith('Bearer error="invalid_token"')


async def test_a_public_route_answers_whoever_comes(issuer: Issuer, client: httpx.AsyncClient) -> None:
    good = await client.get("/open", headers=bearer(issuer.token()))
    nobody = await client.get("/open")
    bad = await client.get("/open", headers={"Authorization": "Basic YTpi"})

    assert good.json() == {"user": "alice", "reason": None}
    assert nobody.json() == {"user": None, "reason": None}
    assert bad.json() == {"user": None, "reason": "invalid_token"}


async def test_keycloak_away(issuer: Issuer, client: httpx.AsyncClient) -> None:
    known = issuer.token()
    assert (await client.get("/me", headers=bearer(known))).status_code == 200
    issuer.stop()
    unknown = bearer(issuer.token(OTHER_RSA_KEY))

    assert (await client.get("/me", headers=bearer(issuer.token()))).status_code == 200
    away = await client.get("/me", headers=unknown)
    assert (away.status_code, away.text) == (503, "unavailable")
    assert (await client.get("/open", headers=unknown)).json() == {"user": None, "reason": "unavailable"}


async def test_on_excluded_paths_a_token_is_not_looked_at(issuer: Issuer, client: httpx.AsyncClient) -> None:
    excluded = await client.get("/excluded", headers=bearer(issuer.token()))
    closed = await client.get("/excluded/closed", headers=bearer(issuer.token()))

    assert excluded.json() == {"user": None, "reason": None}
    assert closed.status_code == 401, "excluded from authentication is not excluded from permissions"
    assert issuer.jwks_fetches == 0


async def test_a_preflight_is_answered_by_cors_without_a_token(client: httpx.AsyncClient) -> None:
    preflight = await client.options(
        "/things", headers={"Origin": "https://trusted.example", "Access-Control-Request-Method": "POST"}
    )

    assert preflight.status_code == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == "https://trusted.example"


async def connect(app: Litestar, path: str) -> list[str]:
    """The types of the messages with which the application answers a handshake."""
    scope = {
        "type": "websocket",
        "asgi": {"version": "3.0"},
        "scheme": "ws",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [],
        "subprotocols": [],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "state": {},
        "extensions": {},
    }
    sent = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await app(scope, receive, send)  # type: ignore[arg-type]
    return sent


async def test_the_socket_is_its_own_guard_and_any_other_is_refused(issuer: Issuer) -> None:
    app = application(issuer, RealmVerifier(issuer.settings()))

    assert await connect(app, "/web") == ["websocket.accept", "websocket.close"]
    assert await connect(app, "/other") == ["websocket.close"]


def test_the_guard_is_async(issuer: Issuer) -> None:
    assert inspect.iscoroutinefunction(permission_guard(TABLE)), "Litestar runs another in a thread"


def test_every_route_is_declared_with_its_place(issuer: Issuer) -> None:
    app = application(issuer, RealmVerifier(issuer.settings()))
    routes = {(route.template, route.method): route.where for route in declared_routes(app.routes)}

    line = inspect.getsourcelines(get_thing.fn)[1]
    assert routes["/things/{thing_id}", "GET"] == f"packages/starpost/tests/framework/rbac/test_guard.py:{line}"
    assert routes.keys() == {
        ("/things", "GET"),
        ("/things", "HEAD"),
        ("/things", "POST"),
        ("/things/{thing_id}", "GET"),
        ("/things/special", "GET"),
        ("/me", "GET"),
        ("/open", "GET"),
        ("/excluded", "GET"),
        ("/excluded/closed", "GET"),
        ("/no-rule", "GET"),
        ("/schema", "GET"),
        ("/schema/swagger", "GET"),
        ("/schema/openapi.json", "GET"),
        ("/schema/oauth2-redirect.html", "GET"),
        ("/schema/{path}", "GET"),
        ("/other", "WEBSOCKET"),
        ("/mounted", "MOUNT"),
    }
    assert not routes["/schema", "GET"].startswith("/"), "no path of a machine"
