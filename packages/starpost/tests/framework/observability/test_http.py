"""Correlation, access log, health and metrics over HTTP."""

import re
from collections.abc import AsyncIterator, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from litestar import Litestar, Request, get
from litestar.params import FromPath
from litestar.response import Stream
from litestar.testing import TestClient
from structlog.testing import capture_logs

from starpost.errors import ConflictError
from starpost.http.middleware import wrap
from starpost.http.problems import problem_handlers
from starpost.observability import correlation, gathering
from starpost.observability.access_log import AccessLog
from starpost.observability.health import Readiness
from starpost.observability.http import HTTPObserver
from starpost.observability.metrics import Metrics
from starpost.observability.peers import MetricsPeers
from starpost.observability.routes import observability_routes
from starpost.observability.security_log import SecurityLog


@get("/items/{name:str}")
async def item(name: FromPath[str], request: Request[Any, Any, Any]) -> str:
    request.scope["user"] = SimpleNamespace(username="alice")
    if name == "taken":
        raise ConflictError
    if name == "bug":
        raise ValueError
    return correlation.incident()


@get("/broken")
async def broken() -> Stream:
    async def parts() -> AsyncIterator[bytes]:
        yield b"begun"
        raise ValueError

    return Stream(parts())


class Served:
    def __init__(self) -> None:
        self.metrics = Metrics()
        self.is_draining = False
        self.parts: list[Exception] = []
        readiness = Readiness(lambda: self.is_draining)
        readiness.register("database", self._check)
        routes = observability_routes(readiness, MetricsPeers(self.metrics, None))
        access, security = AccessLog(), SecurityLog(self.metrics.security_event)
        app = Litestar(
            [item, broken, *routes],
            exception_handlers=problem_handlers(),
            on_shutdown=[access.flush],
            logging_config=None,
        )
        wrap(app, [partial(HTTPObserver, metrics=self.metrics, security=security, access=access)])
        self.client = TestClient(app, raise_server_exceptions=False)

    async def _check(self) -> None:
        for error in self.parts:
            raise error


@pytest.fixture(name="served")
def _served() -> Iterator[Served]:
    served = Served()
    with served.client:
        yield served


def test_the_id_is_taken_over_used_and_sent_back(served: Served) -> None:
    response = served.client.get("/items/a", headers={"x-request-id": "order-17"})
    assert response.headers["x-request-id"] == response.text == "order-17"
    made = served.client.get("/items/a")
    assert re.fullmatch("[0-9a-f]{32}", made.headers["x-request-id"])
    refused = served.client.get("/items/bug", headers={"x-request-id": "order-18"})
    assert refused.headers["x-request-id"] == refused.json()["incident"] == "order-18"
    assert "x-request-id" in served.client.get("/nowhere").headers


def test_the_access_log(served: Served) -> None:
    with capture_logs() as lines:
        served.client.get("/items/secret-name?page=2&Authorization=Bearer%20hunter2", headers={"cookie": "a=hunter2"})
        served.client.get("/items/taken")
        served.client.get("/some/where")
    assert "hunter2" not in str(lines)
    assert "secret-name" not in str(lines)
    assert [(line["path"], line["status"], line["user"]) for line in lines] == [
        ("/items/{name}", 200, "alice"),
        ("/items/{name}", 409, "alice"),
        ("(unmatched)", 404, None),
    ]
    assert lines[0]["query"] == "page=2&Authorization=***"
    assert lines[0]["log_level"] == "info"


def test_lines_that_wait_are_written_at_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gathering, "LONGEST_WAIT", 3600.0)
    served = Served()
    with served.client:
        served.client.get("/items/a")
        assert "/items/{name}" not in capsys.readouterr().out
    assert capsys.readouterr().out.count("/items/{name}") == 1


def test_probes_are_silent_and_counted(served: Served) -> None:
    with capture_logs() as lines:
        served.client.get("/health/live")
    assert [line["log_level"] for line in lines] == ["debug"]
    text = served.client.get("/metrics").text
    assert 'http_requests_total{method="GET",path="/health/live",status="200",worker="0"} 1.0' in text


def test_an_answer_that_breaks_off_is_logged(served: Served) -> None:
    with capture_logs() as lines:
        served.client.get("/broken")
    assert [line["event"] for line in lines] == ["request_broken", "request"]


def test_methods_nobody_knows_are_one_label(served: Served) -> None:
    for number in range(3):
        served.client.request(f"X{number}", "/items/a")
    assert (
        'http_requests_total{method="(other)",path="(unmatched)",status="405",worker="0"} 3.0'
        in served.client.get("/metrics").text
    )


def test_live_and_ready(served: Served) -> None:
    assert served.client.get("/health/live").json() == {"status": "live"}
    assert served.client.get("/health/ready").json() == {"status": "ready", "parts": {"database": "ok"}}


def test_not_ready_names_the_part(served: Served) -> None:
    served.parts.append(ConnectionError("10.0.0.1 refused"))
    response = served.client.get("/health/ready")
    assert response.status_code == 503
    assert response.json()["code"] == "unavailable"
    assert response.json()["errors"] == [{"path": "$.database", "msg": "failed"}]
    assert "10.0.0.1" not in response.text
    assert served.client.get("/health/live").status_code == 200


def test_draining_is_not_ready(served: Served) -> None:
    served.is_draining = True
    response = served.client.get("/health/ready")
    assert response.status_code == 503
    assert response.json()["code"] == "draining"


def test_metrics_have_their_media_type(served: Served) -> None:
    response = served.client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "process_cpu_seconds_total" in response.text
