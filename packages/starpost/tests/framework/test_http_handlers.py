"""A prepared handler answers as Litestar's own would, and does less for it."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import (
    Controller,
    Litestar,
    MediaType,
    Request,
    Response,
    Router,
    WebSocket,
    delete,
    get,
    head,
    post,
    route,
    websocket,
)
from litestar.background_tasks import BackgroundTask
from litestar.connection import ASGIConnection
from litestar.datastructures import CacheControlHeader, Cookie, ETag, ResponseHeader
from litestar.di import NamedDependency, Provide
from litestar.dto import DTOConfig, MsgspecDTO
from litestar.exceptions import HTTPException
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Stream
from litestar.testing import TestClient
from msgspec import Struct

from starpost.http.handlers import PreparedHandler, PreparedHandlers
from starpost.observability.health import Readiness
from starpost.observability.metrics import Metrics
from starpost.observability.peers import MetricsPeers
from starpost.observability.routes import observability_routes

DONE: list[str] = []


class Item(Struct):
    id: int
    name: str
    made: dt.datetime = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


ITEM = Item(1, "é")


@dataclass
class Plain:
    id: int


class WithoutName(MsgspecDTO[Item]):
    config = DTOConfig(exclude={"name"})


class Odd:
    """Nothing that JSON knows."""


class OddResponse(Response[Any]):
    def __init__(self, content: Any, **options: Any) -> None:
        super().__init__({"odd": content.id}, **options)


async def renamed(response: Response[Any]) -> Response[Any]:
    response.headers["x-renamed"] = "yes"
    return response


async def done(_request: Request[Any, Any, Any]) -> None:
    DONE.append("after response")


@get("/struct")
async def struct() -> Item:
    return ITEM


@get("/sync", sync_to_thread=False)
def sync() -> Item:
    return ITEM


@get("/threaded", sync_to_thread=True)
def threaded() -> Item:
    return ITEM


@get("/list")
async def a_list() -> list[Item]:
    return [ITEM, ITEM]


@get("/dict")
async def a_dict() -> dict[str, Any]:
    return {"path": Path("/a"), "items": [ITEM]}


@get("/dataclass")
async def a_dataclass() -> Plain:
    return Plain(1)


@get("/nothing")
async def nothing() -> Item | None:
    return None


@post("/created")
async def created() -> Item:
    return ITEM


@post("/accepted", status_code=202)
async def accepted() -> Item:
    return ITEM


@delete("/deleted")
async def deleted() -> None:
    return None


@head("/struct")
async def a_head() -> None:
    return None


@get("/text")
async def text() -> str:
    return "text"


@get("/bytes", media_type="application/octet-stream")
async def some_bytes() -> bytes:
    return b"\0\1"


@get("/html", media_type=MediaType.HTML)
async def html() -> str:
    return "<p>"


@get("/msgpack", media_type=MediaType.MESSAGEPACK)
async def msgpack() -> Item:
    return ITEM


@get("/problem", media_type="application/problem+json")
async def other_json() -> Item:
    return ITEM


@get("/response")
async def a_response() -> Response[Item]:
    return Response(ITEM, status_code=203, headers={"x-a": "b"}, cookies={"c": "d"})


@get("/stream")
async def stream() -> Stream:
    async def parts() -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"

    return Stream(parts())


@get("/redirect", status_code=302)
async def redirect() -> Redirect:
    return Redirect("/struct")


@get("/headers", response_headers=[ResponseHeader(name="x-a", value="b")], etag=ETag(value="17"))
async def headers() -> Item:
    return ITEM


@get(
    "/documented",
    response_headers=[
        ResponseHeader(name="X-Documented", documentation_only=True),
        ResponseHeader(name="X-B", value="c"),
    ],
)
async def documented() -> Item:
    return ITEM


@get("/typed", response_headers={"Content-Type": "application/vnd.item+json", "Content-Language": "en"})
async def typed() -> Item:
    return ITEM


@get("/kept", cache_control=CacheControlHeader(max_age=7))
async def kept() -> Item:
    return ITEM


@get("/cookies", response_cookies=[Cookie("c", "d")])
async def cookies() -> Item:
    return ITEM


@get("/background", background=BackgroundTask(lambda: DONE.append("background")))
async def background() -> Item:
    return ITEM


@get("/after", after_request=renamed, after_response=done)
async def after() -> Item:
    return ITEM


@get("/encoders", type_encoders={Odd: lambda _: "odd"})
async def encoders() -> dict[str, Odd]:
    return {"it": Odd()}


@get("/unencodable")
async def unencodable() -> dict[str, Any]:
    return {"it": Odd()}


@get("/dto", return_dto=WithoutName)
async def a_dto() -> Item:
    return ITEM


@get("/odd-response", response_class=OddResponse)
async def odd_response() -> Item:
    return ITEM


@get("/before", before_request=lambda _: {"instead": 1})
async def before() -> dict[str, int]:
    return {}


@get("/parameters/{number:int}")
async def parameters(
    number: FromPath[int], word: FromQuery[str], some: FromQuery[list[int] | None] = None
) -> list[Any]:
    return [number, word, some]


@get("/raised")
async def raised() -> Item:
    raise HTTPException(status_code=418, detail="tea")


@get("/broken", exception_handlers={ValueError: lambda *_: Response("route", status_code=409, media_type="text/plain")})
async def broken() -> Item:
    raise ValueError


@get("/broken-below")
async def broken_below() -> Item:
    raise ValueError


@route("/both", http_method=["GET", "PUT"])
async def both() -> Item:
    return ITEM


class Things(Controller):
    path = "/things"
    response_headers = [ResponseHeader(name="x-things", value="1")]  # noqa: RUF012 - as Litestar wants it

    @get()
    async def all(self) -> list[Item]:
        return [ITEM]

    @get("/one")
    async def one(self) -> Item:
        return ITEM

    @get("/other", response_headers={"X-Things": "2"})
    async def other(self) -> Item:
        return ITEM


HANDLERS: list[Any] = [
    struct, sync, threaded, a_list, a_dict, a_dataclass, nothing, created, accepted, deleted, a_head, text, some_bytes,
    html, msgpack, other_json, a_response, stream, redirect, headers, documented, typed, kept, cookies, background,
    after, encoders, unencodable, a_dto, odd_response, before, parameters, raised, broken, broken_below, both, Things,
]  # fmt: skip


def application(*handlers: Any, is_prepared: bool = True, **options: Any) -> Litestar:
    return Litestar(
        handlers,
        plugins=[PreparedHandlers()] if is_prepared else [],
        exception_handlers={ValueError: lambda *_: Response("app", status_code=400, media_type="text/plain")},
        openapi_config=None,
        logging_config=None,
        **options,
    )


@pytest.fixture(name="both_ways", scope="module")
def _both_ways() -> Iterator[tuple[TestClient[Litestar], TestClient[Litestar]]]:
    """The same routes, prepared and as Litestar has them."""
    with (
        TestClient(application(*HANDLERS, Router("/under", route_handlers=[struct]))) as prepared,
        TestClient(application(*HANDLERS, Router("/under", route_handlers=[struct]), is_prepared=False)) as plain,
    ):
        yield prepared, plain


@pytest.mark.parametrize(
    "request_line",
    [
        *(
            f"GET {path}"
            for handler in HANDLERS
            if isinstance(handler, get)
            for path in handler.paths
            if "{" not in path
        ),
        "HEAD /struct",
        "OPTIONS /struct",
        "PUT /struct",
        "POST /created",
        "POST /accepted",
        "DELETE /deleted",
        "PUT /both",
        "GET /both",
        "GET /things",
        "GET /things/one",
        "GET /things/other",
        "GET /under/struct",
        "GET /nowhere",
        "GET /parameters/7?word=a",
        "GET /parameters/7?word=a&some=1&some=2",
        "GET /parameters/7",
        "GET /parameters/7?word=a&some=x",
        "GET /parameters/x?word=a",
    ],
)
def test_the_answer_is_litestars(
    both_ways: tuple[TestClient[Litestar], TestClient[Litestar]], request_line: str
) -> None:
    method, path = request_line.split(" ")
    answers, traces = [], []
    for client in both_ways:
        DONE.clear()
        answers.append([client.request(method, path, follow_redirects=False) for _ in range(2)][-1])
        traces.append(list(DONE))
    prepared, plain = answers
    assert (prepared.status_code, prepared.content) == (plain.status_code, plain.content)
    assert _sorted(prepared.headers) == _sorted(plain.headers)
    assert traces[0] == traces[1]


def _sorted(headers: httpx.Headers) -> list[tuple[str, str]]:
    return sorted(headers.multi_items())


def test_the_plain_ones_are_short(both_ways: tuple[TestClient[Litestar], TestClient[Litestar]]) -> None:
    """That the comparison above has compared two ways."""
    prepared, plain = (
        {
            handler.handler_name: type(handler)
            for route in client.app.routes
            for handler in getattr(route, "route_handlers", ())
        }
        for client in both_ways
    )
    assert prepared["struct"] is prepared["one"] is PreparedHandler
    assert PreparedHandler not in plain.values()


def prepared_at(app: Litestar, path: str) -> PreparedHandler:
    """The prepared handler of a path with one."""
    handlers = [
        handler for route in app.routes if route.path == path for handler in getattr(route, "route_handlers", ())
    ]
    (found,) = (handler for handler in handlers if isinstance(handler, PreparedHandler))
    return found


def test_declared_header_fields_go_the_short_way_but_those_of_the_content(
    both_ways: tuple[TestClient[Litestar], TestClient[Litestar]],
) -> None:
    prepared, _ = both_ways
    ways = {"/headers": True, "/documented": True, "/encoders": True, "/typed": False, "/cookies": False}
    for path, is_short in ways.items():
        prepared.get(path)
        assert prepared_at(prepared.app, path)._is_plain is is_short, path


def test_the_health_check_of_a_process_goes_the_short_way() -> None:
    """Probes and load balancers ask often."""
    app = application(*observability_routes(Readiness(lambda: False), MetricsPeers.of_launcher(Metrics())))
    with TestClient(app) as client:
        live = client.get("/health/live")
    assert (live.json(), live.headers["cache-control"]) == ({"status": "live"}, "no-store")
    assert prepared_at(app, "/health/live")._is_plain is True


SEEN: list[BaseRouteHandler] = []


async def guard(_connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    SEEN.append(handler)


@websocket("/socket")
async def socket(socket: WebSocket[Any, Any, Any]) -> None:
    await socket.accept()
    await socket.close()


@pytest.mark.parametrize(
    ("method", "path", "is_shared"),
    [
        ("GET", "/struct", True),
        ("GET", "/under/struct", True),
        ("POST", "/created", True),
        ("PUT", "/both", False),
        ("OPTIONS", "/struct", False),
    ],
)
def test_a_guard_gets_the_handler_itself(method: str, path: str, is_shared: bool) -> None:
    SEEN.clear()
    app = application(struct, created, both, socket, Router("/under", route_handlers=[struct]), guards=[guard])
    with TestClient(app) as client:
        for _ in range(2):
            assert client.request(method, path).is_success
        with client.websocket_connect("/socket"):
            pass
    first, second, _ = SEEN
    assert (first is second) is is_shared
    registered = [handler for route in app.routes for handler in getattr(route, "route_handlers", [])]
    assert any(handler is first for handler in registered) is is_shared


def test_what_the_domain_declared_is_left_as_it_was() -> None:
    app = application(struct)
    registered = [handler for route in app.routes for handler in getattr(route, "route_handlers", [])]
    assert [type(handler) for handler in registered] == [PreparedHandler, HTTPRouteHandler]
    assert type(struct) is get


Log = list[str]


def provided(log: Log) -> dict[str, Provide]:
    """Providers of every kind; what happens to them goes into the log."""

    def plain() -> str:
        log.append("plain")
        return "plain"

    async def waiting(plain: NamedDependency[str]) -> str:
        await asyncio.sleep(0)
        log.append(f"waiting({plain})")
        return "waiting"

    async def unit(waiting: NamedDependency[str]) -> AsyncIterator[str]:
        log.append(f"unit({waiting}) begins")
        try:
            yield "unit"
        except Exception as error:
            log.append(f"unit undone: {type(error).__name__}")
            raise
        log.append("unit done")

    def inner(unit: NamedDependency[str]) -> Iterator[str]:
        log.append(f"inner({unit}) begins")
        try:
            yield "inner"
        finally:
            log.append("inner ends")

    def failing(unit: NamedDependency[str]) -> str:
        raise ValueError(unit)

    def threaded() -> str:
        log.append("threaded")
        return "threaded"

    def asking(word: FromQuery[int]) -> int:
        log.append(f"asking({word})")
        return word

    return {
        "plain": Provide(plain, sync_to_thread=False),
        "waiting": Provide(waiting),
        "unit": Provide(unit),
        "inner": Provide(inner),
        "failing": Provide(failing, sync_to_thread=False),
        "kept": Provide(threaded, sync_to_thread=True, use_cache=True),
        "asking": Provide(asking, sync_to_thread=False),
    }


@get("/inner")
async def with_inner(inner: NamedDependency[str], unit: NamedDependency[str], number: FromQuery[int] = 3) -> list[Any]:
    return [inner, unit, number]


@get("/undone")
async def undone(inner: NamedDependency[str]) -> list[Any]:
    raise ValueError(inner)


@get("/unsendable")
async def unsendable(unit: NamedDependency[str]) -> dict[str, Any]:
    return {unit: Odd()}


@get("/failing")
async def with_failing(unit: NamedDependency[str], failing: NamedDependency[str]) -> list[str]:
    return [unit, failing]


@get("/kept")
async def with_kept(kept: NamedDependency[str]) -> list[str]:
    return [kept]


@get("/asking")
async def with_asking(asking: NamedDependency[int], unit: NamedDependency[str]) -> list[Any]:
    return [asking, unit]


BEGUN = ["plain", "waiting(plain)", "unit(waiting) begins"]
Ask = Callable[[str], Any]


@pytest.fixture(name="log")
def _log() -> Log:
    return []


@pytest.fixture(name="ask")
def _ask(log: Log) -> Iterator[Ask]:
    app = application(with_inner, undone, unsendable, with_failing, with_kept, with_asking, dependencies=provided(log))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client.get


def test_dependencies_are_made_in_order_and_finished_before_the_answer(ask: Ask, log: Log) -> None:
    answer = ask("/inner?number=5")
    assert answer.json() == ["inner", "unit", 5]
    assert log == [*BEGUN, "inner(unit) begins", "inner ends", "unit done"]


def test_a_handler_that_fails_undoes_them(ask: Ask, log: Log) -> None:
    assert ask("/undone").status_code == 400
    assert log == [*BEGUN, "inner(unit) begins", "inner ends", "unit undone: ValueError"]


def test_an_answer_that_cannot_be_sent_undoes_them(ask: Ask, log: Log) -> None:
    assert ask("/unsendable").status_code == 500
    assert log == [*BEGUN, "unit undone: SerializationException"]


def test_a_provider_that_fails_undoes_those_before_it(ask: Ask, log: Log) -> None:
    """Litestar leaves them to the garbage collector."""
    assert ask("/failing").status_code == 400
    assert log == [*BEGUN, "unit undone: ValueError"]


def test_a_kept_dependency_is_made_once(ask: Ask, log: Log) -> None:
    assert [ask("/kept").json(), ask("/kept").json()] == [["threaded"], ["threaded"]]
    assert log == ["threaded"]


def test_a_provider_that_asks_for_a_parameter_is_litestars_affair(ask: Ask, log: Log) -> None:
    assert ask("/asking?word=7").json() == [7, "unit"]
    assert log[-1] == "unit done"
    assert sorted(log) == sorted([*BEGUN, "asking(7)", "unit done"])
    assert ask("/asking?word=x").status_code == 400


def test_providers_that_wait_do_so_side_by_side() -> None:
    met = asyncio.Barrier(2)

    async def meet() -> str:
        await asyncio.wait_for(met.wait(), 100)
        return "met"

    async def meet_too() -> str:
        return await meet()

    @get("/")
    async def handler(one: NamedDependency[str], two: NamedDependency[str]) -> list[str]:
        return [one, two]

    with TestClient(application(handler, dependencies={"one": Provide(meet), "two": Provide(meet_too)})) as client:
        assert client.get("/").json() == ["met", "met"]


def test_a_path_that_is_registered_again_keeps_its_plan() -> None:
    """Litestar makes a path's handlers anew when another method of it comes later."""
    log: Log = []

    @post("/inner")
    async def add(unit: NamedDependency[str]) -> list[str]:
        return [unit]

    app = application(with_inner, dependencies=provided(log))
    app.register(add)
    with TestClient(app) as client:
        assert client.get("/inner").json() == ["inner", "unit", 3]
        assert client.post("/inner").json() == ["unit"]
    assert log.count("unit done") == 2
