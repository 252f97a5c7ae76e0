"""A guard gets the handler of the route, and routes work as before."""

from typing import Any

import pytest
from litestar import Litestar, Router, WebSocket, get, post, route, websocket
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.testing import TestClient

from app.framework.rbac.shared_handlers import SharedHandlers

SEEN: list[BaseRouteHandler] = []


async def guard(_connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    SEEN.append(handler)


@get("/one", opt={"of": "get"})
async def one() -> str:
    return "one"


@post("/one", status_code=202)
async def add() -> str:
    return "added"


@route("/both", http_method=["GET", "PUT"])
async def both() -> str:
    return "both"


@websocket("/socket")
async def socket(socket: WebSocket[Any, Any, Any]) -> None:
    await socket.accept()
    await socket.close()


@pytest.mark.parametrize(
    ("method", "path", "status", "text", "is_shared"),
    [
        ("GET", "/one", 200, "one", True),
        ("GET", "/under/one", 200, "one", True),
        ("POST", "/one", 202, "added", True),
        ("PUT", "/both", 200, "both", False),
        ("OPTIONS", "/one", 204, "", False),
    ],
)
def test_the_guard_gets_the_handler_itself(method: str, path: str, status: int, text: str, is_shared: bool) -> None:
    SEEN.clear()
    app = Litestar(
        [one, add, both, socket, Router("/under", route_handlers=[one])],
        guards=[guard],
        plugins=[SharedHandlers()],
        openapi_config=None,
        logging_config=None,
    )
    with TestClient(app) as client:
        answers = [client.request(method, path) for _ in range(2)]
        with client.websocket_connect("/socket"):
            pass
    assert [(answer.status_code, answer.text) for answer in answers] == [(status, text)] * 2
    first, second, _ = SEEN
    assert (first is second) is is_shared
    registered = [handler for route in app.routes for handler in getattr(route, "route_handlers", [])]
    assert any(handler is first for handler in registered) is is_shared


def test_what_the_domain_declared_is_left_as_it_was() -> None:
    app = Litestar([one], plugins=[SharedHandlers()], openapi_config=None, logging_config=None)
    (registered,) = (handler for route in app.routes for handler in getattr(route, "route_handlers", []) if handler.opt)
    assert isinstance(registered, HTTPRouteHandler)
    assert not hasattr(one, "__copy__")
    assert not hasattr(get, "__copy__")
