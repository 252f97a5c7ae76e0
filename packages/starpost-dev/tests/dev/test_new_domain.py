"""``make new-domain`` as a process: what it writes passes the checks, and the tests that were written with it.

In an application without any other domain, as somebody begins who keeps nothing of the example.
"""

import json
import re
import shlex
from pathlib import Path

import pytest

from starpost_dev.scaffold.removal import EXAMPLE, remove_domain
from tests.dev.applications import ROOT, application, is_good, run, write_tree

PAGE = "docs/guide/add-a-domain.md"
EVERY_TYPE = (
    "title:line:unique, rating:int, body:text?, weight:float, price:decimal, is_done:bool, day:date, at:datetime?, "
    "key:uuid:unique"
)

# Run with the tests that were written, on their database.
COMPARED = """
import os
import subprocess
import sys


def test_the_migrations_are_those_of_the_models(services):
    environment = os.environ | services.environment()
    for command in (["check"], ["downgrade", "base"], ["upgrade"], ["check"]):
        done = subprocess.run(
            [sys.executable, "-m", "starpost.db.migrate", *command], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
"""


def options_of_the_page() -> list[str]:
    """The page's first command, as the Makefile hands it on."""
    command = re.search(r"^make new-domain (NAME=.*)$", (ROOT / PAGE).read_text(), re.MULTILINE)
    assert command is not None
    pairs = [word.partition("=") for word in shlex.split(command[1])]
    return [part for name, _, value in pairs for part in (f"--{name.lower()}", value)]


def test_what_is_written_is_good(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    before = remove_domain(application(), EXAMPLE).tree
    write_tree(before, tmp_path)
    written: set[str] = set()
    for options in (
        options_of_the_page(),
        # A table whose name is a word of SQL, with every type; nothing else tells the first one's notes apart.
        ["--name", "orders", "--fields", EVERY_TYPE],
        ["--name", "people", "--singular", "person", "--fields", "note:text", "--admin", "person-editor"],
    ):
        done = run(tmp_path, "scripts.new_domain", *options)
        assert done.returncode == 0, done.stderr
        written |= {path for path in done.stdout.split() if path.endswith(".py")}
    files = sorted(written)
    for block in re.findall(r"```python\n# (\S+)\n(.*?)```", (ROOT / PAGE).read_text(), re.DOTALL):
        assert block[1].strip("\n") in (tmp_path / block[0]).read_text(), f"{PAGE} shows another {block[0]}"

    # A domain imports the framework's public face, and nothing behind it.
    assert not any("starpost." in (tmp_path / path).read_text() for path in files if path.startswith("app/"))
    (tmp_path / "tests/domains/test_migrations.py").write_text(COMPARED)
    # Kept between runs, so that mypy looks only at what is new.
    known = pytestconfig.cache.mkdir("mypy")
    for command in (
        ("ruff", "check", *files),
        ("ruff", "format", "--check", *files),
        ("starpost_dev.checks.docstrings", "app"),
        ("vulture", "app", "--min-confidence", "80"),
        ("mypy", "--no-warn-unused-configs", f"--cache-dir={known}", *files),
        ("starpost_dev.checks.dependencies",),
        ("scripts.check_actions",),
        ("starpost_dev.checks.plans",),
        ("pytest", "-q", "-p", "no:cacheprovider", "tests"),
    ):
        is_good(tmp_path, *command)
    rows = {row["name"]: row for row in json.loads(run(tmp_path, "scripts.ws_handlers", "--json").stdout)}
    assert rows["GET_ORDERS"]["reply"] == "Page[OrderView]"
    assert rows["DELETE_PERSON"]["rule"] == "person-editor"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return write_tree(application(), tmp_path)


def test_it_asks_for_what_is_not_said(checkout: Path) -> None:
    answers = "Nonsense\nstories\n\ntitle\ntitle:line\n\n\n\n"
    done = run(checkout, "scripts.new_domain", answers=answers)
    assert done.returncode == 0, done.stderr
    assert "'Nonsense' is no domain's name" in done.stderr
    assert "One of them [story]: " in done.stderr
    assert "'title' is no field" in done.stderr
    assert "Role that reads [story-reader]: " in done.stderr
    assert "class Story(BaseModel):" in (checkout / "app/domains/stories/models.py").read_text()


@pytest.mark.parametrize(
    ("options", "answers", "said"),
    [
        (["--name", "people", "--fields", "name:line"], "", "what is one of 'people'? Say it: SINGULAR="),
        (["--name", "reviews"], "", "no answer; use --fields"),
        (["--name", "reviews", "--fields", "title:nothing"], "", "there is no type 'nothing'"),
        ([], "reviews\n", "no answer; use --singular"),
    ],
)
def test_a_refusal_writes_nothing(checkout: Path, options: list[str], answers: str, said: str) -> None:
    done = run(checkout, "scripts.new_domain", *options, answers=answers)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    for path in checkout.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts and ".ruff_cache" not in path.parts:
            assert application()[str(path.relative_to(checkout))] == path.read_bytes()
