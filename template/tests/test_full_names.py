"""A project with a module of 24 letters, from a relative path, on a dirty checkout that ``make serve`` runs from."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from starpost_dev.services.ports import free_port
from template.tests.full import as_a_user, full, hold_to_its_checks_and_tests, make
from template.tests.repositories import Programs, append, copied

PATIENCE = 300.0


@pytest.fixture
def checkout(programs: Programs, tmp_path: Path) -> Path:
    """A repository with a change that is not committed, and the environment of this one."""
    folder = copied(tmp_path / "checkout")
    programs.commit(folder, "v0.1.0")
    (folder / ".venv").symlink_to(sys.prefix)
    append(folder / "app" / "domains" / "authors" / "topics.py", "# Not committed.\n")
    return folder


@contextmanager
def served(programs: Programs, checkout: Path) -> Iterator[None]:
    port = free_port()
    environment = {**as_a_user(programs).environment, "PORT": str(port), "RELOAD": "0"}
    with (checkout.parent / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            ["make", "serve"], cwd=checkout, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, (checkout.parent / "serve.log").read_text()
                assert time.monotonic() < deadline, "it is not served"
                time.sleep(0.1)
        yield
        assert process.poll() is None, "it is still served"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        process.wait(PATIENCE)


@full
def test_a_project(programs: Programs, checkout: Path) -> None:
    module = "abcdefghijklmnopqrstuvwx"
    elsewhere = checkout.parent / "elsewhere"
    elsewhere.mkdir()
    with served(programs, checkout):
        programs.cookiecutter(
            "../checkout", "project_name=Tom's Läden", "project_slug=toms", f"module_name={module}", cwd=elsewhere
        )

    project = elsewhere / "toms"
    assert (project / module / "domains" / "authors" / "topics.py").read_text().endswith("# Not committed.\n")
    hold_to_its_checks_and_tests(programs, project)


@full
def test_the_frameworks_source_is_unpacked(programs: Programs, checkout: Path) -> None:
    (checkout / ".venv").unlink()
    programs.cookiecutter(".", cwd=checkout)
    project = (checkout / "my_project").rename(checkout.parent / "my_project")
    programs.commit(project)

    # The lock files are what the project itself would lock.
    make(programs, project, "lock")
    assert programs.git("status", "--porcelain", cwd=project) == ""

    make(programs, project, "vendor-source")

    program = [str(project / ".venv" / "bin" / "python"), "-c"]
    for name in ("starpost", "starpost_dev"):
        said = programs.run(*program, f"import {name}; print({name}.__file__)", cwd=project)
        assert said.startswith(f"{project}/packages/")
    make(programs, project, "check", 'ARGS=style format imports dependencies "lock files"')
