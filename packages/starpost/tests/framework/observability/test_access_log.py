"""The access log's lines, as JSON and through the pipeline."""

import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from starpost.observability import correlation
from starpost.observability.access_log import AccessLog
from starpost.observability.logs import LogFormat, LogLevel, configure_logs

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"

Lines = Callable[..., list[dict[str, Any]]]


@pytest.fixture(name="set_up")
def _set_up() -> Iterator[Callable[[LogLevel, LogFormat], None]]:
    before = structlog.get_config()
    yield configure_logs
    structlog.configure(**before)


def scope(**members: Any) -> Any:
    return {
        "type": "http",
        "method": "GET",
        "path": "/authors/17",
        "query_string": b"",
        "headers": [],
        "client": ("192.0.2.7", 1),
        **members,
    }


async def write(
    scope: Any, path: str = "/authors/{author_id}", correlation_id: str = "order-17", *, is_direct: bool = True
) -> None:
    """As the observer does it."""
    log = AccessLog(is_direct=is_direct)
    token = correlation.enter(correlation.Correlation(known_id=correlation_id))
    log.write(scope, path, 200, 0.0012345, correlation_id)
    correlation.leave(token)
    log.flush()


@pytest.mark.parametrize(
    ("members", "fields"),
    [
        ({}, {"method": "GET", "user": None, "address": "192.0.2.7"}),
        ({"client": None}, {"address": None}),
        ({"user": SimpleNamespace(username="alice")}, {"user": "alice"}),
        ({"user": SimpleNamespace(username=JWT)}, {"user": "***"}),
        ({"query_string": b"name=a%20b&page=2"}, {"query": "name=a%20b&page=2"}),
        ({"query_string": b"Authorization=Bearer%20hunter2&page=2"}, {"query": "Authorization=***&page=2"}),
        ({"query_string": f"next={JWT}".encode()}, {"query": "next=***"}),
        ({"query_string": b"x" * 1000}, {"query": "x" * 500}),
        # Masked before it is cut: of a token that the cut goes through, the beginning would stay.
        ({"query_string": f"{'x' * 470}&next={JWT}".encode()}, {"query": f"{'x' * 470}&next=***"}),
        ({"query_string": f"{'x' * 490}&token=hunter2".encode()}, {"query": f"{'x' * 490}&token=***"[:500]}),
        # In whatever way it is encoded.
        ({"query_string": f"next={JWT.replace('.', '%2E')}".encode()}, {"query": "***"}),
        ({"query_string": f"next={JWT.replace('.', '%252e')}".encode()}, {"query": "***"}),
        ({"query_string": f"next=%65{JWT[1:]}".encode()}, {"query": "***"}),
        ({"query_string": b"next=%2Fweb%3FAuthorization%3DBearer%2520hunter2"}, {"query": "***"}),
        ({"query_string": b"name=100%25+sure&page=2"}, {"query": "name=100%25+sure&page=2"}),
        ({"query_string": b'"\xff\x00\n'}, {"query": '"\xff\x00\n'}),
        ({"method": "X" * 100}, {"method": "X" * 16}),
    ],
)
async def test_json_says_what_the_pipeline_would(
    set_up: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    members: dict[str, Any],
    fields: dict[str, Any],
) -> None:
    set_up("INFO", "json")
    await write(scope(**members))
    await write(scope(**members), is_direct=False)
    direct, piped = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert direct.keys() == piped.keys()
    for line in (direct, piped):
        assert line.pop("timestamp").endswith("Z")
    assert direct == piped
    assert direct.items() >= fields.items()
    assert (
        direct.items()
        >= {
            "level": "info",
            "event": "request",
            "logger": "access",
            "path": "/authors/{author_id}",
            "status": 200,
            "ms": 1.23,
            "correlation_id": "order-17",
        }.items()
    )


async def test_text_that_is_no_unicode_is_written(
    set_up: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    set_up("INFO", "json")
    await write(scope(user=SimpleNamespace(username="\ud800")))
    line = json.loads(capsys.readouterr().out)
    assert (line["user"], line["correlation_id"], line["logger"]) == ("\ud800", "order-17", "access")


async def test_a_token_in_place_of_a_request_id_is_masked(
    set_up: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    set_up("INFO", "json")
    await write(scope(), correlation_id=JWT)
    assert json.loads(capsys.readouterr().out)["correlation_id"] == "***"


@pytest.mark.parametrize(
    ("level", "path", "levels"),
    [
        ("INFO", "/authors", ["info"]),
        ("WARNING", "/authors", []),
        ("INFO", "/health/live", []),
        ("DEBUG", "/health/live", ["debug"]),
        ("DEBUG", "/authors", ["info"]),
    ],
)
async def test_levels(
    set_up: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    level: LogLevel,
    path: str,
    levels: list[str],
) -> None:
    set_up(level, "json")
    await write(scope(), path)
    assert [json.loads(line)["level"] for line in capsys.readouterr().out.splitlines()] == levels


async def test_text_for_a_terminal(set_up: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    set_up("INFO", "console")
    await write(scope(query_string=b"token=hunter2"))
    written = capsys.readouterr().out
    assert "path=/authors/{author_id}" in written
    assert "query='token=***'" in written
    assert "correlation_id=order-17" in written


async def test_what_captures_lines_gets_them(set_up: Callable[..., None]) -> None:
    set_up("INFO", "json")
    made_before = AccessLog()
    with capture_logs() as lines:
        await write(scope())
        made_before.write(scope(), "/authors", 200, 0.001, "order-18")
    assert [line["path"] for line in lines] == ["/authors/{author_id}", "/authors"]
