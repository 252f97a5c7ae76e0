"""Problem documents, from a whole application."""

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
import pytest
from litestar import Litestar, get, patch, post
from litestar.di import NamedDependency, Provide
from litestar.exceptions import InternalServerException, ServiceUnavailableException, TooManyRequestsException
from litestar.params import FromPath, FromQuery, JSONBody, PathParameter, QueryParameter
from litestar.testing import TestClient
from structlog.testing import capture_logs

from starpost.auth.challenge import MissingTokenError
from starpost.errors import (
    AppError,
    ConflictError,
    FieldError,
    RateLimitedError,
    TokenExpiredError,
    UnavailableError,
)
from starpost.http.input import JSONRequest
from starpost.http.problems import problem_handlers, problem_responses


class New(msgspec.Struct):
    name: Annotated[str, msgspec.Meta(min_length=1)]
    year: int = 0


class PoolEmptyError(Exception):
    pass


def _translate(error: Exception) -> AppError | None:
    return UnavailableError("The database is away") if isinstance(error, PoolEmptyError) else None


def per_page_of(per_page: Annotated[int, QueryParameter(ge=1, le=100)] = 20) -> int:
    return per_page


RAISED: dict[str, Exception] = {
    "conflict": ConflictError("Taken", errors=[FieldError("$.name", "Taken")]),
    "limited": RateLimitedError(retry_after=0.2),
    "away": UnavailableError(retry_after=2.5),
    "missing_token": MissingTokenError(),
    "expired": TokenExpiredError(),
    "pool": PoolEmptyError(),
    "bug": ValueError("password=hunter2"),
    "litestar_500": InternalServerException("password=hunter2"),
    "litestar_503": ServiceUnavailableException(),
    "litestar_429": TooManyRequestsException(headers={"retry-after": "3"}),
}


@get("/raise/{what:str}", sync_to_thread=False)
def raise_(what: FromPath[str]) -> None:
    raise RAISED[what]


@post("/things", responses=problem_responses(400, 409))
async def create(data: JSONBody[New], dry: FromQuery[bool]) -> New:
    return data


@patch("/things")
async def change(data: JSONBody[list[New]]) -> int:
    return len(data)


@get("/things")
async def things(
    page: Annotated[int, QueryParameter(ge=1)], per_page: FromQuery[int], name: FromQuery[str | None] = None
) -> list[int]:
    return [page, per_page]


@get("/page", dependencies={"size": Provide(per_page_of, sync_to_thread=False)})
async def page(size: NamedDependency[int], since: FromQuery[int]) -> int:
    return size


@get("/items/{number:int}")
async def item(number: Annotated[int, PathParameter(ge=1)]) -> int:
    return number


@pytest.fixture(name="client", scope="module")
def _client() -> Iterator[TestClient[Litestar]]:
    app = Litestar(
        [raise_, create, change, things, page, item],
        exception_handlers=problem_handlers([_translate]),
        request_class=JSONRequest,
        logging_config=None,
        request_max_body_size=1000,
    )
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def problem(response: Any, status: int, code: str) -> dict[str, Any]:
    """The document, with what all of them have in common checked."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    document: dict[str, Any] = response.json()
    assert document["status"] == status
    assert document["code"] == code
    assert document["type"] == f"/problems/{code}"
    assert document["title"]
    assert document["detail"]
    assert set(document) <= {"type", "title", "status", "detail", "code", "errors", "incident"}
    return document


def test_an_application_error_keeps_its_code_and_fields(client: TestClient[Litestar]) -> None:
    document = problem(client.get("/raise/conflict"), 409, "conflict")
    assert document["title"] == "Conflict"
    assert document["detail"] == "Taken"
    assert document["errors"] == [{"path": "$.name", "msg": "Taken"}]


def test_times_to_wait_are_whole_seconds_never_too_few(client: TestClient[Litestar]) -> None:
    limited = client.get("/raise/limited")
    problem(limited, 429, "rate_limited")
    assert limited.headers["retry-after"] == "1"
    away = client.get("/raise/away")
    problem(away, 503, "unavailable")
    assert away.headers["retry-after"] == "3"


def test_a_refused_token_says_how_to_bring_one(client: TestClient[Litestar]) -> None:
    missing = client.get("/raise/missing_token")
    problem(missing, 401, "invalid_token")
    assert missing.headers["www-authenticate"] == "Bearer"
    expired = client.get("/raise/expired")
    problem(expired, 401, "token_expired")
    assert expired.headers["www-authenticate"].startswith('Bearer error="invalid_token"')


def test_a_translator_knows_what_an_exception_means(client: TestClient[Litestar]) -> None:
    with capture_logs() as lines:
        assert problem(client.get("/raise/pool"), 503, "unavailable")["detail"] == "The database is away"
    assert [line["event"] for line in lines] == ["request_refused"]


@pytest.mark.parametrize("what", ["bug", "litestar_500"])
def test_a_fault_of_the_program_is_logged_once_and_told_to_nobody(client: TestClient[Litestar], what: str) -> None:
    with capture_logs() as lines:
        response = client.get(f"/raise/{what}")
    document = problem(response, 500, "internal")
    assert "hunter2" not in response.text
    assert [line["event"] for line in lines] == ["request_failed"]
    assert lines[0]["incident"] == document["incident"]
    assert lines[0]["exc_info"] is RAISED[what]


def test_litestars_own_refusals(client: TestClient[Litestar]) -> None:
    problem(client.get("/nowhere"), 404, "not_found")
    problem(client.get("/items/x"), 404, "not_found")
    refused = client.delete("/things")
    problem(refused, 405, "method_not_allowed")
    assert refused.headers["allow"] == "GET, OPTIONS, PATCH, POST"
    problem(client.post("/things?dry=1", content=b'{"name": "' + b"x" * 1000 + b'"}'), 413, "body_too_large")
    problem(client.get("/raise/litestar_503"), 503, "unavailable")
    limited = client.get("/raise/litestar_429")
    problem(limited, 429, "rate_limited")
    assert limited.headers["retry-after"] == "3"


def test_every_invalid_field_is_named(client: TestClient[Litestar]) -> None:
    document = problem(client.post("/things?dry=perhaps", json={"name": "", "year": "5"}), 400, "invalid_data")
    assert document["detail"] == "3 fields are invalid"
    assert document["errors"] == [
        {"path": "$.name", "msg": "Expected `str` of length >= 1"},
        {"path": "$.year", "msg": "Expected `int`, got `str`"},
        {"path": "$.dry", "msg": "Expected `bool`, got `str`"},
    ]
    document = problem(client.patch("/things", json=[{"name": "a"}, {"year": None}]), 400, "invalid_data")
    assert [error["path"] for error in document["errors"]] == ["$[1].name", "$[1].year"]


def test_every_invalid_parameter_is_named(client: TestClient[Litestar]) -> None:
    document = problem(client.get("/things?page=0"), 400, "invalid_data")
    assert document["errors"] == [
        {"path": "$.page", "msg": "Expected `int` >= 1"},
        {"path": "$.per_page", "msg": "Required, and missing"},
    ]
    document = problem(client.get("/page?per_page=1000&since=x"), 400, "invalid_data")
    assert {error["path"] for error in document["errors"]} == {"$.per_page", "$.since"}
    assert problem(client.get("/items/0"), 400, "invalid_data")["errors"][0]["path"] == "$.number"


@pytest.mark.parametrize("body", [b"{", b"\xff", b'{"name": "a"} x', b"[" * 5000, b""])
def test_a_body_that_is_no_json(client: TestClient[Litestar], body: bytes) -> None:
    headers = {"content-type": "application/json"}
    document = problem(client.request("PATCH", "/things", content=body[:900], headers=headers), 400, "invalid_data")
    assert document["errors"][0]["path"] == "$"


def test_a_body_of_another_kind(client: TestClient[Litestar]) -> None:
    response = client.post("/things?dry=1", content=b'{"name": "a"}', headers={"content-type": "text/plain"})
    problem(response, 415, "unsupported_media_type")
    good = client.post("/things?dry=1", content=b'{"name": "a"}', headers={"content-type": "application/json; a=b"})
    assert good.json() == {"name": "a", "year": 0}


def test_a_query_with_a_token_is_not_repeated(client: TestClient[Litestar]) -> None:
    response = client.get("/things?page=0&Authorization=Bearer%20abc")
    problem(response, 400, "invalid_data")
    assert "abc" not in response.text


def test_the_openapi_document_knows_the_schema(client: TestClient[Litestar]) -> None:
    responses = client.app.openapi_schema.to_schema()["paths"]["/things"]["post"]["responses"]
    for status in ("400", "409"):
        assert list(responses[status]["content"]) == ["application/problem+json"]
        assert responses[status]["content"]["application/problem+json"]["schema"]["$ref"].endswith("Problem")


def test_logs_are_silent_about_refusals(client: TestClient[Litestar]) -> None:
    with capture_logs() as lines:
        client.get("/raise/conflict")
        client.get("/nowhere")
    assert lines == []
