"""``FAST_PATHS=false`` really takes the other ways. Suites that run both ways show that they do the same."""

import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest
from litestar.routes import HTTPRoute, WebSocketRoute
from sqlalchemy import event

from starpost.connections.transport import TransportRecorder, transport_of
from starpost.db import Database
from starpost.http.handlers import PlannedParameters, PreparedHandler, PreparedSocketHandler
from starpost.server.worker import ExplainedStart
from starpost.testing import Issuer, Launched, Serve
from starpost.testing.launched import until
from starpost_dev.services.services import Services
from tests.specimen.asgi import create
from tests.specimen.settings import Settings

BOTH = pytest.mark.parametrize("is_fast", [True, False], ids=["fast", "without"])


@BOTH
def test_route_handlers_are_litestars(is_fast: bool) -> None:
    app = create(Settings.from_strings({"FAST_PATHS": str(is_fast).lower()}))
    pairs = [pair for route in app.routes if isinstance(route, HTTPRoute) for pair in route.route_handler_map.values()]
    assert any(isinstance(handler, PreparedHandler) for handler, _ in pairs) == is_fast
    assert any(isinstance(model, PlannedParameters) for _, model in pairs) == is_fast
    sockets = [route.route_handler for route in app.routes if isinstance(route, WebSocketRoute)]
    assert [isinstance(handler, PreparedSocketHandler) for handler in sockets] == [is_fast]


@pytest.fixture
async def database(services: Services, is_fast: bool) -> AsyncIterator[Database]:
    environment = {**services.environment(), "FAST_PATHS": str(is_fast).lower()}
    database = await Database(Settings.from_strings(environment)).open()
    yield database
    await database.close()


@BOTH
async def test_statements_take_sqlalchemys_way_to_a_connection(database: Database, is_fast: bool) -> None:
    taken: list[object] = []
    event.listen(database.engine.sync_engine, "checkout", lambda *_: taken.append(1))
    assert [tuple(row) for row in await database.fetch("SELECT 1")] == [(1,)]
    assert len(taken) == (0 if is_fast else 1)


class Server:
    """Granian's end of a socket, by the module of its class."""

    async def receive(self) -> Any:
        """Nothing comes."""

    async def send(self, _message: Any) -> None:
        """Nobody reads."""


Server.__module__ = "granian._granian"


@BOTH
async def test_sockets_use_the_ends_that_litestar_gives(is_fast: bool) -> None:
    server = Server()
    scope: Any = {"type": "websocket", "client": ("127.0.0.1", 40_000), "server": ("127.0.0.1", 8000)}

    async def receive() -> Any:
        """Litestar's."""

    async def send(_message: Any) -> None:
        """Litestar's."""

    found = []

    async def app(scope: Any, *_: Any) -> None:
        found.append(transport_of(scope, receive, send))

    await TransportRecorder(app, is_direct=is_fast)(scope, server.receive, server.send)
    transport = found[0]
    assert (transport.send == server.send, transport.receive == server.receive) == (is_fast, is_fast)
    assert transport.is_eager == is_fast
    assert transport.link is not None, "what a stranger has sent is weighed either way"


@BOTH
async def test_the_collector_is_set(is_fast: bool) -> None:
    before = gc.get_threshold()

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "lifespan.startup.complete"})

    async def nothing(*_: Any) -> None:
        return None

    try:
        await ExplainedStart(app, lambda: None, sets_collector=is_fast)({"type": "lifespan"}, nothing, nothing)
        assert (gc.get_threshold() != before) == is_fast
        assert (gc.get_freeze_count() > 0) == is_fast
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


@pytest.fixture(params=[{}, {"FAST_PATHS": "false"}], ids=["fast", "without"])
def served(serve: Serve, request: pytest.FixtureRequest) -> Launched:
    return serve(**request.param)


def test_lines_of_the_access_log_are_the_same(served: Launched, issuer: Issuer) -> None:
    answer = served.get(
        "/connections?mark=fast-paths&token=a.b.c", headers={"Authorization": f"Bearer {issuer.token()}"}
    )

    def lines() -> list[dict[str, Any]]:
        return [line for line in served.lines("request") if "fast-paths" in line.get("query", "")]

    (line,) = until(lines, "the request's line")
    assert line.keys() == {
        "timestamp", "level", "event", "logger", "correlation_id", "method", "path", "status", "ms", "user", "address",
        "query",
    }  # fmt: skip
    assert (line["level"], line["logger"], line["method"]) == ("info", "access", "GET")
    assert (line["path"], line["status"]) == ("/connections", answer.status_code)
    assert "a.b.c" not in line["query"]
