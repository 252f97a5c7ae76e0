"""Every way through ends in a reply: the order of the checks, the mapping of errors, the undoing of work."""

import asyncio
import gc
import json
import weakref
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Annotated, Any
from uuid import UUID

import msgspec
import pytest
import structlog
from litestar.di import Provide
from msgspec import Meta, Raw, Struct

from starpost import errors
from starpost.auth.principal import Principal
from starpost.errors import (
    AppError,
    BadEnvelopeError,
    FieldError,
    InternalError,
    NotFoundError,
    RSPCode,
    UnavailableError,
)
from starpost.observability.logs import configure_logs
from starpost.packets import Caller, Dispatcher, PackageRouter, RequestModel
from starpost.protocol import CODECS, JSON, MSGPACK, NIL, BadPacket, Codec, OffsetMeta, Packet, Page, ResponseModel
from tests.framework.packets.caller import ALICE, ID, ListedCaller, ask, packet, routes_of

codecs = pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)


class Data(Struct):
    name: Annotated[str, Meta(min_length=1)]
    number: int = 0


class Journal(list[str]):
    """A dependency's life: opened, then committed or undone."""

    async def provide(self) -> AsyncGenerator["Journal", None]:
        self.append("open")
        try:
            yield self
        except BaseException as error:
            self.append(f"undo: {type(error).__name__}")
            raise
        self.append("commit")


def dispatcher_for(handler: Any, journal: Journal | None = None, **options: Any) -> Dispatcher:
    """A dispatcher with one packet, number 1."""
    router = PackageRouter()
    router.register(ID.ONE)(handler)
    providers = {"journal": Provide(journal.provide)} if journal is not None else {}
    return Dispatcher(routes_of(router, providers), **options)


async def answer_of(handler: Any, data: Any = msgspec.UNSET, codec: Codec = JSON, **options: Any) -> dict[str, Any]:
    """The reply to one packet, from who may send it."""
    return await ask(dispatcher_for(handler, **options), ListedCaller([1], codec=codec), packet(1, data, codec))


async def echo(request: RequestModel[Data]) -> Data:
    return request.data


# ---- the order of the checks -----------------------------------------------------------------------------------------


class Counting(Struct):
    """A payload that knows whether it was decoded."""

    name: str

    def __post_init__(self) -> None:
        decoded.append(self.name)


decoded: list[str] = []


async def counting(request: RequestModel[Counting]) -> None:
    decoded.append("handled")


async def test_without_a_principal_nothing_is_told_and_nothing_decoded() -> None:
    decoded.clear()
    caller = ListedCaller([1], principal=None)
    for question in [packet(1, {"name": "a"}), packet(99), packet(-1, {}), packet(-5, {"req_id": "x"})]:
        reply = await ask(dispatcher_for(counting), caller, question)
        assert (reply["status_code"], reply["data"]["code"]) == (9, "invalid_token")
    assert not decoded


async def test_auth_needs_no_principal() -> None:
    caller = ListedCaller(principal=None)
    reply = await ask(dispatcher_for(echo), caller, packet(-2, {"token": "the-token"}))
    assert reply["status_code"] == 0
    assert reply["data"] == {
        "user": "alice",
        "roles": ["admin"],
        "expires_at": "2096-10-02T07:06:40Z",
        "connection_id": "connection-1",
    }
    assert caller.tokens == ["the-token"]


@pytest.mark.parametrize("pkg_id", [2, 99, -99, 0, -6, -8])
async def test_unknown_comes_before_permission(pkg_id: int) -> None:
    reply = await ask(dispatcher_for(echo), ListedCaller(), packet(pkg_id, {"name": 1}))
    assert (reply["status_code"], reply["data"]["code"]) == (1, "unknown_packet")
    assert reply["data"]["msg"] == f"No handler found for pkg_id {pkg_id}"


@codecs
@pytest.mark.parametrize("data", [{"name": "a"}, {"name": 1}, [], None])
async def test_permission_comes_before_data(codec: Codec, data: Any) -> None:
    decoded.clear()
    reply = await ask(dispatcher_for(counting), ListedCaller([2], codec=codec), packet(1, data, codec))
    assert (reply["status_code"], reply["data"]["code"]) == (3, "permission_denied")
    assert not decoded


async def test_data_that_is_no_json_is_not_looked_at_for_who_may_not() -> None:
    broken = Packet(1, NIL, Raw(b"{{{"))
    assert (await ask(dispatcher_for(echo), ListedCaller(), broken))["status_code"] == 3
    assert (await ask(dispatcher_for(echo), ListedCaller([1]), broken))["data"]["code"] == "bad_frame"


async def test_data_comes_before_the_handler() -> None:
    decoded.clear()
    reply = await answer_of(counting, {"name": 1})
    assert (reply["status_code"], reply["data"]["code"]) == (2, "invalid_data")
    assert "handled" not in decoded


async def test_system_packets_need_no_rule() -> None:
    reply = await ask(dispatcher_for(echo), ListedCaller(), packet(-1, {"a": [1, None]}))
    assert (reply["status_code"], reply["data"]) == (0, {"a": [1, None]})


async def test_cancel() -> None:
    caller, dispatcher = ListedCaller(), dispatcher_for(echo)
    req_id = "550e8400-e29b-41d4-a716-446655440000"
    assert (await ask(dispatcher, caller, packet(-5, {"req_id": req_id})))["data"] == {}
    assert caller.cancelled == [UUID(req_id)]
    assert (await ask(dispatcher, caller, packet(-5, {"req_id": req_id})))["status_code"] == 4


@codecs
async def test_what_could_not_be_read_is_answered_with_what_could(codec: Codec) -> None:
    caller = ListedCaller([1], codec=codec)
    bad = BadPacket(BadEnvelopeError(errors=[FieldError("$.req_id", "Invalid UUID")]), 7, NIL)
    reply = await ask(dispatcher_for(echo), caller, bad)
    assert reply == {
        "pkg_id": 7,
        "req_id": str(NIL),
        "status_code": 2,
        "data": {
            "code": "bad_envelope",
            "msg": "The envelope is invalid",
            "retryable": False,
            "errors": [{"path": "$.req_id", "msg": "Invalid UUID"}],
        },
    }


# ---- data ------------------------------------------------------------------------------------------------------------


async def all_defaults(request: RequestModel[dict[str, Any]]) -> dict[str, Any]:
    return request.data


@codecs
@pytest.mark.parametrize("data", [msgspec.UNSET, None, {}])
async def test_absent_and_null_data_mean_an_empty_object(codec: Codec, data: Any) -> None:
    assert (await answer_of(all_defaults, data, codec))["data"] == {}
    missing = await answer_of(echo, data, codec)
    assert missing["data"]["errors"] == [{"path": "$.name", "msg": "Required, and missing"}]


@codecs
@pytest.mark.parametrize("data", [[], 1, "x", True, [{"name": "a"}]])
async def test_data_is_an_object(codec: Codec, data: Any) -> None:
    reply = await answer_of(echo, data, codec)
    assert reply["data"]["code"] == "invalid_data"
    assert [error["path"] for error in reply["data"]["errors"]] == ["$"]


@codecs
async def test_every_invalid_field_is_named(codec: Codec) -> None:
    reply = await answer_of(echo, {"name": "", "number": "x"}, codec)
    assert reply["data"] == {
        "code": "invalid_data",
        "msg": "2 fields are invalid",
        "retryable": False,
        "errors": [
            {"path": "$.name", "msg": "Expected `str` of length >= 1"},
            {"path": "$.number", "msg": "Expected `int`, got `str`"},
        ],
    }


async def test_a_string_that_is_no_utf_8_inside_messagepack() -> None:
    question = Packet(1, NIL, Raw(b"\x81\xa4name\xa1\xff"))
    reply = await ask(dispatcher_for(echo), ListedCaller([1], codec=MSGPACK), question)
    assert (reply["status_code"], reply["data"]["code"]) == (2, "bad_frame")


async def test_a_huge_number_is_invalid_data() -> None:
    question = Packet(1, NIL, Raw(b'{"name": "a", "number": ' + b"9" * 5000 + b"}"))
    reply = await ask(dispatcher_for(echo), ListedCaller([1]), question)
    assert [error["path"] for error in reply["data"]["errors"]] == ["$.number"]


# ---- results ---------------------------------------------------------------------------------------------------------


async def list_result() -> list[Data]:
    return [Data("a"), Data("b", 2)]


async def none_result() -> None:
    return None


async def page_result() -> Page[Data]:
    return Page([Data("a")], OffsetMeta.of(2, 1, 3))


async def empty_page() -> Page[Data]:
    return Page([], OffsetMeta.of(1, 20, 0))


async def response_result(request: RequestModel[Data]) -> ResponseModel[Data]:
    return ResponseModel.ok_msg(request.pkg_id, request.req_id, request.data, OffsetMeta.of(1, 1, 1))


async def response_to_another() -> ResponseModel[list[int]]:
    return ResponseModel.ok_msg(77, NIL, [1])


A = {"name": "a", "number": 0}


@codecs
@pytest.mark.parametrize(
    ("handler", "data", "meta"),
    [
        (echo, A, None),
        (list_result, [A, {"name": "b", "number": 2}], None),
        (none_result, {}, None),
        (page_result, [A], {"page": 2, "per_page": 1, "total": 3, "pages": 3}),
        (empty_page, [], {"page": 1, "per_page": 20, "total": 0, "pages": 0}),
        (response_result, A, {"page": 1, "per_page": 1, "total": 1, "pages": 1}),
        (response_to_another, [1], None),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_results(codec: Codec, handler: Any, data: Any, meta: Any) -> None:
    reply = await answer_of(handler, A, codec)
    assert reply["status_code"] == 0
    assert reply["data"] == data
    assert reply.get("meta") == meta


async def test_what_a_handler_gets() -> None:
    seen: list[Any] = []

    async def handler(principal: Principal, connection: Caller, request: RequestModel[Data]) -> None:
        seen.extend([principal, connection, request])

    caller = ListedCaller([1])
    question = packet(1, {"name": "a"})
    await ask(dispatcher_for(handler), caller, question)
    assert seen == [ALICE, caller, RequestModel(1, question.req_id, Data("a"), ALICE)]


# ---- errors ----------------------------------------------------------------------------------------------------------

CONTRACT = {
    "internal": (1, False),
    "unknown_packet": (1, False),
    "bad_frame": (2, False),
    "bad_envelope": (2, False),
    "invalid_data": (2, False),
    "batch_too_large": (2, False),
    "permission_denied": (3, False),
    "not_found": (4, False),
    "conflict": (5, False),
    "duplicate_request": (5, False),
    "rate_limited": (6, True),
    "unavailable": (7, True),
    "timeout": (8, True),
    "invalid_token": (9, False),
    "token_expired": (9, False),
    "different_user": (9, False),
}
"""``data.code``, status code, and whether a retry makes sense: the table of the wire contract."""

ERRORS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, AppError) and kind is not AppError
]


def test_the_error_tree_has_the_codes_of_the_contract() -> None:
    assert {kind.code: (int(kind.status_code), kind.is_retryable) for kind in ERRORS} == CONTRACT
    assert len({kind.code for kind in ERRORS}) == len(ERRORS)
    assert [int(code) for code in RSPCode] == list(range(10))


@codecs
@pytest.mark.parametrize("kind", [kind for kind in ERRORS if kind is not InternalError], ids=lambda kind: kind.code)
async def test_application_errors(codec: Codec, kind: type[AppError]) -> None:
    async def handler(journal: Journal) -> None:
        raise kind("The reason", retry_after=1.5, errors=[FieldError("$.a", "b")])

    journal = Journal()
    reply = await answer_of(handler, codec=codec, journal=journal)
    status, is_retryable = CONTRACT[kind.code]
    assert reply["status_code"] == status
    assert reply["data"] == {
        "code": kind.code,
        "msg": "The reason",
        "retryable": is_retryable,
        "errors": [{"path": "$.a", "msg": "b"}],
        "retry_after": 1.5,
    }
    assert journal == ["open", f"undo: {kind.__name__}"]


async def test_an_error_without_particulars_has_three_members() -> None:
    async def handler() -> None:
        raise NotFoundError

    assert (await answer_of(handler))["data"] == {"code": "not_found", "msg": "Not found", "retryable": False}


class LostError(Exception):
    """What a library raises."""


def translate(error: Exception) -> AppError | None:
    return UnavailableError("The database is away") if isinstance(error, LostError) else None


async def test_a_translated_error_undoes(log: "Log") -> None:
    async def handler(journal: Journal) -> None:
        raise LostError("10.0.0.1 refused the connection")

    journal = Journal()
    reply = await answer_of(handler, journal=journal, translators=[translate])
    assert reply["status_code"] == 7
    assert reply["data"] == {"code": "unavailable", "msg": "The database is away", "retryable": True}
    assert journal == ["open", "undo: LostError"]
    assert [line["event"] for line in log()] == ["packet_refused"]


async def test_what_a_commit_raises_is_translated_too() -> None:
    async def failing() -> AsyncGenerator[int, None]:
        yield 1
        raise LostError

    async def handler(it: int) -> None:
        return None

    router = PackageRouter()
    router.register(ID.ONE)(handler)
    dispatcher = Dispatcher(routes_of(router, {"it": Provide(failing)}), translators=[translate])
    assert (await ask(dispatcher, ListedCaller([1]), packet(1)))["status_code"] == 7


async def test_err_msg_undoes(log: "Log") -> None:
    async def handler(request: RequestModel[Data], journal: Journal) -> ResponseModel[Data]:
        return ResponseModel.err_msg(
            request.pkg_id, request.req_id, "no", code="conflict", status_code=RSPCode.CONFLICT
        )

    journal = Journal()
    reply = await answer_of(handler, {"name": "a"}, journal=journal)
    assert (reply["status_code"], reply["data"]) == (5, {"code": "conflict", "msg": "no", "retryable": False})
    assert [entry.partition(":")[0] for entry in journal] == ["open", "undo"]
    assert not log()


async def test_success_commits_before_the_reply() -> None:
    async def handler(request: RequestModel[Data], journal: Journal) -> Data:
        journal.append("handled")
        return request.data

    journal = Journal()
    await answer_of(handler, {"name": "a"}, journal=journal)
    assert journal == ["open", "handled", "commit"]


# ---- faults of the program -------------------------------------------------------------------------------------------

Log = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def log(capsys: pytest.CaptureFixture[str]) -> Iterator[Log]:
    """The lines of the application's own log since the last call."""
    before = structlog.get_config()
    configure_logs("INFO", "json")
    yield lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    structlog.configure(**before)


TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"


async def crash(request: RequestModel[Data], journal: Journal) -> Data:
    password = "hunter2"
    raise RuntimeError(f"cannot use Bearer {TOKEN}", len(password))


async def unencodable(request: RequestModel[Data], journal: Journal) -> dict[str, Any]:
    return {"it": object()}


async def no_text(request: RequestModel[Data], journal: Journal) -> dict[str, Any]:
    return {"it": "\ud800"}


async def no_text_in_an_error(request: RequestModel[Data], journal: Journal) -> None:
    raise NotFoundError("No \ud800")


async def raised_as_such(request: RequestModel[Data], journal: Journal) -> None:
    raise InternalError(f"cannot use {TOKEN}", errors=[FieldError("$.a", "b")])


async def stopped(request: RequestModel[Data], journal: Journal) -> None:
    raise StopAsyncIteration


async def timed_out(request: RequestModel[Data], journal: Journal) -> None:
    async with asyncio.timeout(0):
        await asyncio.Event().wait()


async def recursive(request: RequestModel[Data], journal: Journal) -> None:
    await recursive(request, journal)


async def several(request: RequestModel[Data], journal: Journal) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(crash(request, journal))


@codecs
@pytest.mark.parametrize(
    "handler",
    [crash, unencodable, no_text, no_text_in_an_error, raised_as_such, stopped, timed_out, recursive, several],
    ids=lambda handler: handler.__name__,
)
async def test_a_fault_of_the_program(codec: Codec, handler: Any, log: Log) -> None:
    """The client learns the incident and nothing else; the log has it once, with a stack trace and without secrets."""
    journal = Journal()
    reply = await answer_of(handler, {"name": "the-clients-own-data"}, codec, journal=journal)
    assert reply["status_code"] == 1
    incident = reply["data"].pop("incident")
    assert reply["data"] == {"code": "internal", "msg": "Internal error", "retryable": False}
    assert [entry.partition(":")[0] for entry in journal] == ["open", "undo"]
    (line,) = log()
    assert (line["event"], line["level"], line["incident"]) == ("packet_failed", "error", incident)
    assert line["correlation_id"] == incident
    assert (line["pkg_id"], line["user"], line["connection"]) == (1, "alice", "connection-1")
    assert line["req_id"] == reply["req_id"]
    assert "Traceback" in line["exception"]
    assert TOKEN not in json.dumps(line)
    assert "the-clients-own-data" not in json.dumps(line)


async def test_integers_that_messagepack_has_not() -> None:
    async def handler() -> dict[str, int]:
        return {"n": 2**70}

    assert (await answer_of(handler))["data"] == {"n": 2**70}
    assert (await answer_of(handler, codec=MSGPACK))["data"]["code"] == "internal"


async def test_refusals_are_not_logged_as_faults(log: Log) -> None:
    async def handler() -> None:
        raise NotFoundError

    await answer_of(handler)
    await answer_of(echo, {"name": 1})
    assert not log()


class WrongError(Exception):
    """A fault of the program."""


@pytest.mark.parametrize(
    ("kind", "events"),
    [
        (NotFoundError, []),
        (LostError, ["packet_refused"]),
        (InternalError, ["packet_failed"]),
        (WrongError, ["packet_failed"]),
    ],
)
async def test_a_refused_packet_leaves_no_circle_for_the_collector(
    kind: type[Exception], events: list[str], log: Log
) -> None:
    """An exception knows the frames that it went through: a frame that keeps it frees neither until a collection."""
    raised: list[weakref.ref[Exception]] = []

    async def handler() -> None:
        error = kind()
        raised.append(weakref.ref(error))
        try:
            raise error
        finally:
            del error

    gc.disable()
    try:
        await answer_of(handler, translators=[translate])
        assert raised[0]() is None
    finally:
        gc.enable()
    assert [line["event"] for line in log()] == events


# ---- cancellation ----------------------------------------------------------------------------------------------------


async def interrupt(caller: ListedCaller, reason: str | None, journal: Journal) -> bytes:
    """Cancel a running packet, as its connection does (or as somebody does who ends the server)."""
    is_running = asyncio.Event()

    async def handler(journal: Journal) -> None:
        is_running.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(dispatcher_for(handler, journal).answer(caller, packet(1)))
    await is_running.wait()
    caller.interrupted = reason
    task.cancel()
    return await task


async def test_an_interrupted_packet_is_answered_with_a_timeout(log: Log) -> None:
    journal = Journal()
    reply = JSON.parse(await interrupt(ListedCaller([1]), "Cancelled by the client", journal))
    assert reply["status_code"] == 8
    assert reply["data"] == {"code": "timeout", "msg": "Cancelled by the client", "retryable": True}
    assert journal == ["open", "undo: CancelledError"]
    assert not log()


async def test_a_cancelled_connection_is_not_answered() -> None:
    journal = Journal()
    with pytest.raises(asyncio.CancelledError):
        await interrupt(ListedCaller([1]), None, journal)
    assert journal == ["open", "undo: CancelledError"]


# ---- observation -----------------------------------------------------------------------------------------------------


async def test_each_packet_is_observed_once() -> None:
    seen: list[tuple[int, int]] = []

    def observe(packet_and_status: tuple[int, int], seconds: float) -> None:
        assert seconds >= 0
        seen.append(packet_and_status)

    dispatcher = dispatcher_for(echo, observe=observe)
    caller = ListedCaller([1])
    questions: list[Packet | BadPacket] = [
        packet(1, {"name": "a"}),
        packet(1, {"name": 1}),
        packet(123456),
        BadPacket(BadEnvelopeError(), 999),
        packet(-1),
    ]
    for question in questions:
        await ask(dispatcher, caller, question)
    assert seen == [(1, 0), (1, 2), (0, 1), (0, 2), (-1, 0)]


async def test_packets_at_once_do_not_mix() -> None:
    async def handler(request: RequestModel[Data], journal: Journal) -> Data:
        await asyncio.sleep(0)
        return request.data

    dispatcher = dispatcher_for(handler, Journal())
    replies = await asyncio.gather(
        *(ask(dispatcher, ListedCaller([1]), packet(1, {"name": f"n{n}", "number": n})) for n in range(50))
    )
    assert [reply["data"]["number"] for reply in replies] == list(range(50))
