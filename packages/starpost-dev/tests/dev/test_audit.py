"""``make audit``: pip-audit itself, against a database that speaks OSV's protocol here."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from starpost_dev.checks import audit
from starpost_dev.services.ports import free_port

TODAY = datetime.now(UTC).date()


def vulnerability(package: str, number: int, fixed: str | None) -> dict[str, Any]:
    events = [{"introduced": "0"}] + ([{"fixed": fixed}] if fixed else [])
    return {
        "id": f"GHSA-{number}",
        "aliases": [f"CVE-2026-{number}"],
        "summary": "Something is wrong",
        "published": "2026-01-01T00:00:00Z",
        "affected": [
            {
                "package": {"name": package, "ecosystem": "PyPI"},
                "ranges": [{"type": "ECOSYSTEM", "events": events}],
            }
        ],
    }


class Question(BaseHTTPRequestHandler):
    """``POST /v1/query`` (https://google.github.io/osv.dev/post-v1-query/)."""

    known: dict[str, list[dict[str, Any]]]

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        found = self.known.get(asked["package"]["name"])
        body = json.dumps({"vulns": found} if found else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def database(*found: dict[str, Any]) -> Iterator[str]:
    known: dict[str, list[dict[str, Any]]] = {}
    for each in found:
        known.setdefault(each["affected"][0]["package"]["name"], []).append(each)
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Question,), {"known": known})) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()
        thread.join()


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "requirements.txt"
    path.write_text("".join(f"{name}==1.0 --hash=sha256:{'0' * 64}\n" for name in ("sound", "broken", "hopeless")))
    return path


def run(lock: Path, url: str, exceptions: str = "") -> int:
    path = lock.with_name("audit.toml")
    path.write_text(exceptions)
    return audit.main(["--database", url, "--exceptions", str(path), str(lock)])


def exempted(name: str, until: date) -> str:
    return f'[[exception]]\nid = "{name}"\nreason = "it is not reached"\nuntil = {until}\n'


def test_one_with_a_fix_fails_and_one_without_is_told(lock: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with database(vulnerability("broken", 1, "1.1"), vulnerability("hopeless", 2, None)) as url:
        assert run(lock, url) == 1
    said = capsys.readouterr().out
    assert "FAILED  broken 1.0: CVE-2026-1, GHSA-1 (fixed in 1.1)" in said
    assert "note  hopeless 1.0: CVE-2026-2, GHSA-2 (no fix yet)" in said
    assert "2 known vulnerabilities, 1 to fix" in said


def test_a_wheel_of_the_project_is_not_asked_about(lock: Path) -> None:
    with lock.open("a") as file:
        file.write(f"vendor/broken-1.0-py3-none-any.whl --hash=sha256:{'0' * 64}\n")
    lock.write_text(lock.read_text().replace("broken==1.0", "other==1.0"))
    with database(vulnerability("broken", 1, "1.1")) as url:
        assert run(lock, url) == 0


@pytest.mark.parametrize(
    ("name", "days", "status"), [("GHSA-1", 30, 0), ("CVE-2026-1", 30, 0), ("GHSA-1", -30, 1), ("GHSA-9", 30, 1)]
)
def test_an_exception_holds_for_its_own_until_its_day(lock: Path, name: str, days: int, status: int) -> None:
    with database(vulnerability("broken", 1, "1.1")) as url:
        assert run(lock, url, exempted(name, TODAY + timedelta(days))) == status


def test_the_last_day_is_the_last() -> None:
    finding = audit.Finding("broken 1.0", frozenset({"GHSA-1"}), ("1.1",))
    exception = audit.Exempted("GHSA-1", "it is not reached", TODAY)
    assert audit.verdict_on([finding], [exception], TODAY)[0] == []
    assert len(audit.verdict_on([finding], [exception], TODAY + timedelta(1))[0]) == 1


def test_an_exception_that_is_not_needed_is_told(lock: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with database() as url:
        assert run(lock, url, exempted("GHSA-1", TODAY + timedelta(30))) == 0
    assert "the exception GHSA-1 is no longer needed" in capsys.readouterr().out


@pytest.mark.parametrize(
    "entry",
    [
        'id = "GHSA-1"\nreason = "why"',
        'id = "GHSA-1"\nreason = ""\nuntil = 2030-01-01',
        'id = "GHSA-1"\nuntil = 2030-01-01',
        'id = "GHSA-1"\nreason = "why"\nuntil = 2030-01-01\nfor = "ever"',
        'id = "GHSA-1"\nreason = why',
    ],
)
def test_an_exception_without_reason_or_day_is_none(lock: Path, entry: str) -> None:
    with database() as url:
        assert run(lock, url, f"[[exception]]\n{entry}\n") == 1


def test_a_database_that_is_away_is_told_from_a_fault(lock: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"http://127.0.0.1:{free_port()}/v1/query"
    assert run(lock, url) == audit.UNAVAILABLE
    assert f"does not answer: {url}" in capsys.readouterr().err
    with database() as url:
        lock.write_text("broken==1.0\n")
        assert run(lock, url) == 1


def test_the_list_of_exceptions_can_be_read_and_every_lock_be_asked_about() -> None:
    audit.exceptions_of(audit.EXCEPTIONS)
    assert all(path.is_file() for path in audit.LOCKS)
