"""An application with packets made for tests: slow ones, failing ones, ones that report what they were given.

``tests.framework.probe:create`` is a target for the launcher. It has its own numbers and its own permission table,
and needs PostgreSQL and Keycloak as the real one does.
"""

import asyncio
import gc
import json
import tempfile
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import msgspec
from litestar import Litestar, Request, Response, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromQuery
from litestar.response import Stream
from msgspec import Meta, Struct
from sqlalchemy import CursorResult, text
from sqlalchemy.ext.asyncio import AsyncSession

from starpost import (
    Caller,
    Domain,
    NotFoundError,
    OffsetMeta,
    PackageRouter,
    Page,
    Principal,
    Publisher,
    Push,
    RateLimitedError,
    RequestModel,
    ResponseModel,
    Topic,
    UnavailableError,
)
from starpost.composition.application import create_app
from starpost.server import DrainSignal
from starpost.settings import Settings
from tests.specimen import ACTIONS_FILE


class ProbeID(IntEnum):
    ALIVE = 100
    ECHO = 101
    SLEEP = 102
    CRASH = 103
    REFUSE = 104
    ADMIN_ONLY = 105
    WHO = 106
    PAGE = 107
    LARGE = 108
    QUERY = 109
    JOURNAL = 110
    ERR_MSG = 111
    SLEEP_IN_LANE = 112
    UNENCODABLE = 113
    PUBLISH = 114
    PUSH = 115
    FAIL_AFTER_PUBLISH = 116
    HELD = 117
    FIND_IN_SCOPE = 118
    AWAIT_CANCELLED = 119
    ROOM_EVENT = 120
    LATEST_EVENT = 121
    STRICT_EVENT = 122
    NOTICE = 123
    ORDER_EVENT = 124
    MEMBER_EVENT = 125


class Echo(Struct):
    name: Annotated[str, Meta(min_length=1, max_length=20)]
    numbers: list[int] = []
    note: str | None = None


class Seconds(Struct):
    seconds: float
    lane: str = ""


class Collector(Struct):
    is_on: bool


class Size(Struct):
    size: Annotated[int, Meta(ge=0, le=10_000_000)]


class Sql(Struct):
    sql: str


probe_router = PackageRouter()
journal: list[str] = []


@probe_router.register(ProbeID.ECHO)
async def echo(request: RequestModel[Echo]) -> Echo:
    """Repeat the data."""
    return request.data


@probe_router.register(ProbeID.SLEEP)
async def sleep(request: RequestModel[Seconds]) -> Seconds:
    """Answer late; the journal says how it ended."""
    journal.append(f"begin {request.req_id}")
    try:
        await asyncio.sleep(request.data.seconds)
    except asyncio.CancelledError:
        journal.append(f"cancelled {request.req_id}")
        raise
    journal.append(f"end {request.req_id}")
    return request.data


@probe_router.register(ProbeID.CRASH)
async def crash(request: RequestModel[Echo]) -> Echo:
    """Fail in a way that nobody foresaw."""
    raise RuntimeError("the secret of the crash")


@probe_router.register(ProbeID.REFUSE)
async def refuse(request: RequestModel[Echo]) -> Echo:
    """Refuse."""
    raise NotFoundError(f"No {request.data.name} here")


@probe_router.register(ProbeID.ADMIN_ONLY)
async def admin_only() -> dict[str, str]:
    """Answer an admin."""
    return {"you": "are admin"}


@probe_router.register(ProbeID.WHO)
async def who(principal: Principal) -> dict[str, Any]:
    """Say who asks."""
    return {"user": principal.username, "roles": sorted(principal.roles)}


@probe_router.register(ProbeID.PAGE)
async def page() -> Page[Echo]:
    """Answer a page."""
    return Page([Echo("a"), Echo("b")], OffsetMeta.of(1, 2, 5))


@probe_router.register(ProbeID.LARGE)
async def large(request: RequestModel[Size]) -> dict[str, str]:
    """Answer with much."""
    return {"filler": "x" * request.data.size}


@probe_router.register(ProbeID.QUERY)
async def query(request: RequestModel[Sql], session: AsyncSession) -> list[dict[str, Any]]:
    """Ask the database."""
    result = await session.execute(text(request.data.sql))
    return [dict(row) for row in result.mappings()] if cast("CursorResult[Any]", result).returns_rows else []


@probe_router.register(ProbeID.JOURNAL)
async def read_journal(noted: list[str]) -> list[str]:
    """What happened, with what this packet's own dependency has noted so far; then forget it."""
    told = [*journal]
    journal.clear()
    return told


@probe_router.register(ProbeID.HELD)
async def held(connection: Caller) -> list[str]:
    """Classes of all that this connection has of its own."""
    values = gc.get_referents(connection)
    for members in [value for value in values if isinstance(value, dict)]:
        values += members.values()
    return sorted({type(value).__name__ for value in values})


class InScope(Struct):
    port: int
    text: str


@probe_router.register(ProbeID.FIND_IN_SCOPE)
async def find_in_scope(request: RequestModel[InScope]) -> list[str]:
    """Name the members with this text in the ASGI scope of the socket whose client has this port."""
    wanted = request.data
    sockets = [value for value in gc.get_objects() if isinstance(value, dict) and value.get("type") == "websocket"]
    # Granian's ports are strings.
    scopes = [scope for scope in sockets if str((scope.get("client") or ("", ""))[1]) == str(wanted.port)]
    return sorted({str(name) for scope in scopes for name, value in scope.items() if wanted.text in repr(value)})


@probe_router.register(ProbeID.AWAIT_CANCELLED)
async def await_cancelled(request: RequestModel[Seconds]) -> None:
    """Wait for something that another one has cancelled."""
    await asyncio.sleep(request.data.seconds)
    shared = asyncio.get_running_loop().create_future()
    shared.cancel("the secret of the crash")
    await shared


@probe_router.register(ProbeID.ALIVE)
async def alive(request: RequestModel[Collector]) -> dict[str, int]:
    """Number of connections, open or ended, whose memory is held, from now on without the garbage collector or with."""
    if request.data.is_on:
        gc.enable()
    elif gc.isenabled():
        gc.collect()
        gc.disable()
    ours = (type(each) for each in gc.get_objects() if type(each).__module__.startswith("starpost."))
    return Counter(each.__name__ for each in ours if each.__name__ in ("Connection", "Channel"))


@probe_router.register(ProbeID.ERR_MSG)
async def err_msg(request: RequestModel[Sql], session: AsyncSession) -> ResponseModel[list[Any]]:
    """Write, then answer with an error: nothing is kept."""
    await session.execute(text(request.data.sql))
    return ResponseModel.err_msg(request.pkg_id, request.req_id, "no")


@probe_router.register(ProbeID.SLEEP_IN_LANE, lane="{lane}")
async def sleep_in_lane(request: RequestModel[Seconds]) -> Seconds:
    """Like SLEEP, in order with its like."""
    return await sleep(request)


@probe_router.register(ProbeID.UNENCODABLE)
async def unencodable(request: RequestModel[Sql], session: AsyncSession) -> dict[str, Any]:
    """Write, then answer what no codec can write: nothing is kept."""
    await session.execute(text(request.data.sql))
    return {"it": object()}


class Tick(Struct):
    n: int
    filler: str = ""


ROOMS = Topic("rooms.{room}", event=Tick, pkg_id=ProbeID.ROOM_EVENT, params={"room": int}, history=5)
LATEST = Topic("latest", event=Tick, pkg_id=ProbeID.LATEST_EVENT, overflow="latest")
STRICT = Topic("strict", event=Tick, pkg_id=ProbeID.STRICT_EVENT, overflow="close")
ORDERS = Topic(
    "orders.{user_id}",
    event=Tick,
    pkg_id=ProbeID.ORDER_EVENT,
    authorize=lambda principal, user_id: principal.user_id == user_id,
)


async def is_member(principal: Principal, room: int, session: AsyncSession) -> bool:
    """Waits while somebody holds the room's lock, as for a slow query; room 13 is haunted."""
    await session.execute(text("SELECT pg_advisory_xact_lock_shared(:room)"), {"room": room})
    if room == 13:
        raise RuntimeError("the secret of the room")
    return f"room-{room}" in principal.roles


MEMBERS = Topic("members.{room}", event=Tick, pkg_id=ProbeID.MEMBER_EVENT, params={"room": int}, authorize=is_member)
NOTICE = Push(pkg_id=ProbeID.NOTICE, event=Tick)
TOPICS: dict[str, Topic[Tick]] = {
    "rooms": ROOMS,
    "latest": LATEST,
    "strict": STRICT,
    "orders": ORDERS,
    "members": MEMBERS,
}


class Publishing(Struct):
    topic: str
    count: int = 1
    size: int = 0
    room: int | None = None


@probe_router.register(ProbeID.PUBLISH)
async def publish(request: RequestModel[Publishing], events: Publisher) -> None:
    """Publish events, numbered from 1."""
    wanted = request.data
    params = {} if wanted.room is None else {"room": wanted.room}
    for n in range(1, wanted.count + 1):
        events.publish(TOPICS[wanted.topic], Tick(n, "x" * wanted.size), **params)


@probe_router.register(ProbeID.FAIL_AFTER_PUBLISH)
async def fail_after_publish(request: RequestModel[Publishing], events: Publisher) -> None:
    """Publish, then fail: nothing may be heard of it."""
    events.publish(ROOMS, Tick(0), room=request.data.room)
    raise NotFoundError("changed my mind")


class Pushing(Struct):
    kind: Literal["user", "role", "all"]
    name: str = ""


@probe_router.register(ProbeID.PUSH)
async def push(request: RequestModel[Pushing], events: Publisher) -> None:
    """Push to a user, a role or everybody."""
    match request.data.kind:
        case "user":
            events.to_user(request.data.name, NOTICE, Tick(1))
        case "role":
            events.to_role(request.data.name, NOTICE, Tick(2))
        case "all":
            events.to_all(NOTICE, Tick(3))


async def provide_noted() -> AsyncGenerator[list[str], None]:
    """A dependency that is finished after the handler."""
    journal.append("opened")
    yield journal
    journal.append("finished")


@get("/probe/fetch")
async def fetch(request: Request[Any, Any, Any], sql: FromQuery[str]) -> dict[str, int]:
    """Run a single statement."""
    return {"rows": len(await request.app.state.services.database.fetch(sql))}


@get("/probe/query")
async def query_over_http(sql: FromQuery[str], session: NamedDependency[AsyncSession]) -> dict[str, int]:
    """Ask in a unit of work."""
    return {"rows": len((await session.execute(text(sql))).all())}


@get("/probe/stream")
async def stream(request: Request[Any, Any, Any], sql: FromQuery[str]) -> Stream:
    """Begin the answer, then run a single statement, then end it."""

    async def parts() -> AsyncIterator[bytes]:
        yield b"begun "
        await request.app.state.services.database.fetch(sql)
        yield b"ended"

    return Stream(parts())


class Write(Struct):
    sql: str
    seconds: float


@post("/probe/write")
async def write(data: Write, session: NamedDependency[AsyncSession]) -> dict[str, str]:
    """Write, and commit so many seconds later."""
    await session.execute(text(data.sql))
    await asyncio.sleep(data.seconds)
    return {"it": "is written"}


@post("/probe/finish", outlives_client=True)
async def finish(data: Write, session: NamedDependency[AsyncSession]) -> dict[str, str]:
    """Like ``write``, whoever waits for it."""
    return await write.fn(data, session)  # type: ignore[no-any-return]


@post("/probe/unread")
async def unread(request: Request[Any, Any, Any], seconds: FromQuery[float]) -> dict[str, int]:
    """Read the body so many seconds late."""
    await asyncio.sleep(seconds)
    return {"size": len(await request.body())}


@post("/probe/bodies")
async def take_body(data: Echo) -> Echo:
    """Repeat the body."""
    return data


@post("/probe/slow", status_code=200)
async def leave_body_late() -> dict[str, str]:
    """Answer late, without a look at the body."""
    await asyncio.sleep(0.8)
    return {"body": "unread"}


@post("/probe/leave", status_code=200)
async def leave_body() -> dict[str, str]:
    """Answer without a look at the body."""
    return {"body": "unread"}


@get("/probe/status")
async def status(code: FromQuery[int]) -> Response[None]:
    """Answer with this status, or fail with it."""
    match code:
        case 429:
            raise RateLimitedError(retry_after=1)
        case 500:
            raise RuntimeError("the secret of the crash")
        case 503:
            raise UnavailableError
    return Response(None, status_code=code)


probe = Domain(
    name="probe",
    packets=[probe_router],
    routes=[fetch, query_over_http, stream, write, finish, unread, take_body, leave_body, leave_body_late, status],
    dependencies={"noted": Provide(provide_noted)},
    topics=list(TOPICS.values()),
    pushes=[NOTICE],
)

ACTIONS = {
    "roles": ["author-reader", "author-editor", "admin"],
    "ws": {str(int(number)): "author-reader" for number in ProbeID if number < ProbeID.ROOM_EVENT}
    | {"105": "admin", "106": "authenticated"},
    "topics": {topic.name: "author-reader" for topic in TOPICS.values()},
    # What the framework itself serves has the specimen's rules.
    "http": {f"/probe/{name}": {"GET": "author-reader"} for name in ("fetch", "query", "stream", "status")}
    | {f"/probe/{name}": {"POST": "author-reader"} for name in ("write", "finish", "unread")}
    | {
        path: rules
        for path, rules in json.loads(ACTIONS_FILE.read_bytes())["http"].items()
        if not path.startswith("/authors")
    }
    | {
        "/probe/bodies": {"POST": "author-reader"},
        "/probe/leave": {"POST": "public"},
        "/probe/slow": {"POST": "public"},
    },
}


def create(drain: DrainSignal) -> Litestar:
    """The probe application."""
    with tempfile.NamedTemporaryFile("wb", suffix=".json", delete=False) as file:
        file.write(json.dumps(ACTIONS).encode())
    settings = msgspec.structs.replace(Settings.load(dotenv=None), actions_file_path=file.name)
    try:
        return create_app(settings, drain=drain, domains=[probe], pkg_ids=ProbeID, title="Test")
    finally:
        Path(file.name).unlink()
