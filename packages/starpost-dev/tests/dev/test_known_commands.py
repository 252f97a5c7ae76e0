"""Commands by the names that they have in many projects, typed in a copy of the checkout."""

import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from starpost_dev.checks.check_locks import Lock
from tests.dev.checkouts import ROOT, clean_environment

FAULTY = '''"""Faults, one for each check."""

import os

print(eval("1"))
'''


def typed(folder: Path, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in clean_environment().items() if name != "VIRTUAL_ENV"}
    return subprocess.run(
        command, cwd=folder, env=environment | environ, capture_output=True, text=True, timeout=280, check=False
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every file that is committed, or will be; no environment."""
    folder = tmp_path_factory.mktemp("commands")
    listed = typed(ROOT, "git", "ls-files", "--cached", "--others", "--exclude-standard")
    for name in listed.stdout.splitlines():
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of one file, with the environment of this checkout."""
    folder = tmp_path_factory.mktemp("faulty")
    shutil.copytree(ROOT / "requirements", folder / "requirements")
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy2(ROOT / name, folder / name)
    for name in (".venv", ".tools"):
        (folder / name).symlink_to(ROOT / name)
    # Vulture looks for nothing while a folder of its list is missing.
    for name in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["vulture"]["paths"]:
        (folder / name).mkdir(parents=True)
    (folder / "app/faulty.py").write_text(FAULTY)
    return folder


@pytest.mark.parametrize(
    ("command", "found"), [("ruff-check", "F401"), ("dead-code-scan", "unused import 'os'"), ("bandit-scan", "B307")]
)
def test_a_check_has_the_name_of_its_tool(faulty: Path, command: str, found: str) -> None:
    done = typed(faulty, "make", command)
    assert done.returncode == 2
    assert found in done.stdout, done.stdout + done.stderr


def test_the_audit_has_the_name_of_a_tool() -> None:
    asked, named = (typed(ROOT, "make", "--dry-run", name).stdout for name in ("audit", "skjold-scan"))
    assert "starpost_dev.checks.audit" in asked
    assert named == asked


class Index(BaseHTTPRequestHandler):
    """An index that knows newer versions of two packages, one that we ask for and one that comes with another."""

    def do_GET(self) -> None:
        name = self.path.strip("/").rpartition("/")[2]
        body = f'<a href="{name}-9999.0-py3-none-any.whl">{name}-9999.0-py3-none-any.whl</a>'.encode()
        is_known = name in ("msgspec", "idna")
        self.send_response(200 if is_known else 404)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body) if is_known else 0))
        self.end_headers()
        self.wfile.write(body if is_known else b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def index() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Index) as server:
        thread = Thread(target=partial(server.serve_forever, 0.01))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/simple"
        server.shutdown()
        thread.join()


def test_what_is_outdated_is_told_direct_or_not(index: str, tmp_path: Path) -> None:
    done = typed(ROOT, "make", "outdated-pkgs-scan", UV_DEFAULT_INDEX=index, UV_CACHE_DIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert re.findall(r"^(\S+) +\S+ +9999", done.stdout, re.MULTILINE) == ["idna", "msgspec"]


def test_uv_run_in_a_clean_clone_comes_to_the_locked_versions(copy: Path) -> None:
    """It may ask the index; where there is none, nothing can be said."""
    uv = str(ROOT / ".tools/bin/uv") if (ROOT / ".tools/bin/uv").exists() else str(shutil.which("uv"))
    done = typed(copy, uv, "run", "pytest", "-q", "tests/contract/test_pkg_ids.py")
    if done.returncode and re.search(r"[Ff]ailed to fetch|error sending request", done.stderr):
        pytest.skip("no index can be reached")
    assert done.returncode == 0, done.stdout + done.stderr
    frozen = typed(copy, uv, "pip", "freeze", "--exclude-editable").stdout
    installed = dict(line.split("==") for line in frozen.splitlines())
    locked = Lock(ROOT / "requirements/dev.lock").versions
    assert installed.items() <= locked.items()
    assert {"pytest", "litestar", "uvicorn"} <= installed.keys()
