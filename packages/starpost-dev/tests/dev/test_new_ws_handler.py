"""``make new-ws-handlers`` as a process, in a copy of the checkout: what it writes is checked, run and taken back."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from starpost_dev.commands import writing
from starpost_dev.scaffold.packet import default_summary
from tests.dev.applications import run

ROOT = Path.cwd()
PARTS = ("app", "scripts", "tests", "migrations", "docker", "actions.json", "actions.schema.json", "pyproject.toml")
PATIENCE = 100.0
OPTIONS = {
    "domain": "reviews",
    "packet": "GET_REVIEWS",
    "fields": "author_id:id, page:page=1, tags:[line]=[], since:datetime?, word:line='a, b'",
    "reply": "[id:id, author_id:id, at:datetime, page:page, note:str?]",
    "rule": "author-reader",
    "summary": "A page of an author's reviews.",
}

pytestmark = pytest.mark.skipif(
    not Path("app/domains/authors").is_dir(), reason="packets are added to the example, which is removed"
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy that may be written to, its bytecode with it: a dozen processes need not compile the same again."""
    copy = tmp_path / "checkout"
    copy.mkdir()
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, copy / part)
        elif source.exists():
            shutil.copy2(source, copy / part)
    return copy


def tree(checkout: Path) -> dict[str, bytes]:
    """Every file, but for what Python compiles."""
    return {
        str(path.relative_to(checkout)): path.read_bytes()
        for path in checkout.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.parts[-2].startswith(".")
    }


def folders(checkout: Path) -> set[str]:
    return {
        str(path.relative_to(checkout))
        for part in ("app", "tests")
        for path in (checkout / part).rglob("*")
        if path.is_dir() and path.name != "__pycache__"
    }


def write(checkout: Path, answers: str = "", **options: str) -> subprocess.CompletedProcess[str]:
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    return run(checkout, "scripts.new_ws_handler", *arguments, answers=answers)


def refused(checkout: Path, **changes: str) -> str:
    """What a refusal says; the checkout is as it was."""
    before = tree(checkout), folders(checkout)
    result = write(checkout, **OPTIONS | changes)
    assert (result.returncode, result.stdout) == (1, "")
    assert "Traceback" not in result.stderr
    assert (tree(checkout), folders(checkout)) == before
    return result.stderr


def test_what_is_written_is_good(checkout: Path, pytestconfig: pytest.Config) -> None:
    """Into a new domain and into one that is there; by the checks and by the tests that were written with it."""
    before = tree(checkout)
    highest = max(json.loads(before["tests/contract/pkg_ids.json"]).values())
    packets = [
        OPTIONS,
        {"domain": "reviews", "packet": "DELETE_REVIEW", "fields": "id:id", "rule": "any:admin,author-editor"},
        {"domain": "authors", "packet": "COUNT_AUTHORS", "reply": "count:int, of:uuid", "rule": "authenticated"},
    ]
    for options in packets:
        result = write(checkout, **options)
        assert result.returncode == 0, result.stderr
        assert all((checkout / path).is_file() for path in result.stdout.split())

    rows = {row["name"]: row for row in json.loads(run(checkout, "scripts.ws_handlers", "--json").stdout)}
    assert [rows[options["packet"]]["id"] for options in packets] == [highest + 1, highest + 2, highest + 3]
    assert rows["GET_REVIEWS"]["payload"] == "GetReviewsRequest"
    assert rows["GET_REVIEWS"]["reply"] == "list[GetReviewsReply]"
    assert rows["GET_REVIEWS"]["summary"] == "A page of an author's reviews."
    assert rows["DELETE_REVIEW"]["rule"] == "admin or author-editor"
    assert rows["COUNT_AUTHORS"]["rule"] == "authenticated"
    changed = {path for path, content in tree(checkout).items() if before.get(path) != content}
    assert changed == {
        "actions.json",
        "app/pkg_ids.py",
        "app/domains/authors/packets.py",
        "app/domains/authors/schemas.py",
        "app/domains/reviews/__init__.py",
        "app/domains/reviews/packets.py",
        "app/domains/reviews/schemas.py",
        "tests/contract/pkg_ids.json",
        "tests/domains/authors/test_count_authors.py",
        "tests/domains/reviews/__init__.py",
        "tests/domains/reviews/test_delete_review.py",
        "tests/domains/reviews/test_get_reviews.py",
    }

    written = sorted(path for path in changed if path.endswith(".py"))
    # A domain imports the framework's public face, and nothing behind it.
    assert not any("starpost." in (checkout / path).read_text() for path in written if path.startswith("app/"))
    # Kept between runs, so that mypy looks only at what is new.
    known = pytestconfig.cache.mkdir("mypy")
    generated_tests = [path for path in written if "/test_" in path]
    for command in (
        ("ruff", "check", *written),
        ("ruff", "format", "--check", *written),
        ("starpost_dev.checks.docstrings", "app"),
        ("vulture", "app/domains", "--min-confidence", "80"),
        ("mypy", "--no-warn-unused-configs", f"--cache-dir={known}", *written),
        ("pytest", "-q", "tests/contract/test_pkg_ids.py", *generated_tests),
    ):
        result = run(checkout, *command)
        assert result.returncode == 0, f"{command}\n{result.stdout}{result.stderr}"


def test_nothing_is_overwritten(checkout: Path) -> None:
    test = checkout / "tests/domains/reviews/test_get_reviews.py"
    test.parent.mkdir()
    test.write_text("# mine\n")
    assert "tests/domains/reviews/test_get_reviews.py is already there" in refused(checkout)
    test.unlink()
    (checkout / "app/domains/reviews").mkdir()
    assert "is no domain" in refused(checkout)
    (checkout / "app/domains/reviews").rmdir()
    schemas = checkout / "app/domains/authors/schemas.py"
    schemas.write_text(schemas.read_text() + "\n\nclass GetReviewsReply(Struct):\n    pass\n")
    assert "has a GetReviewsReply already" in refused(checkout, domain="authors")


def test_an_application_that_does_not_start_as_it_is(checkout: Path) -> None:
    table = checkout / "actions.json"
    table.write_text(table.read_text().replace('"1":', '"999":'))
    said = refused(checkout)
    assert "does not start as it is; fix that first" in said
    assert "no packet 999" in said


def test_what_does_not_start_is_taken_back(checkout: Path) -> None:
    """A domain whose router nobody uses: the handler is written, and the application does not find it."""
    domain = checkout / "app/domains/quiet"
    domain.mkdir()
    (domain / "__init__.py").write_text('from starpost import Domain\n\ndomain = Domain(name="quiet")\n')
    (domain / "packets.py").write_text("from starpost import PackageRouter\n\npkg_router = PackageRouter()\n")
    said = refused(checkout, domain="quiet")
    assert "the application does not start with what was written" in said
    assert "GET_REVIEWS" in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_takes_everything_back(checkout: Path, tmp_path: Path, number: signal.Signals) -> None:
    """It comes while the application is tried with what was written."""
    reached = tmp_path / "reached"
    (checkout / "scripts/ws_handlers.py").write_text(
        "import pathlib, time\n"
        "if pathlib.Path('app/domains/reviews').exists():\n"
        f"    pathlib.Path({str(reached)!r}).touch()\n"
        f"    time.sleep({PATIENCE})\n"
    )
    before = tree(checkout), folders(checkout)
    arguments = [part for name, value in OPTIONS.items() for part in (f"--{name}", value)]
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts.new_ws_handler", *arguments],
        cwd=checkout,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            deadline = time.monotonic() + PATIENCE
            while not reached.exists():
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < deadline
                time.sleep(0.02)
            assert (checkout / "app/domains/reviews/packets.py").exists()
            process.send_signal(number)
            out, err = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    assert (process.returncode, out) == (130, "")
    assert "interrupted; nothing was written" in err
    assert (tree(checkout), folders(checkout)) == before


def test_it_asks_for_what_no_option_says(checkout: Path) -> None:
    (checkout / "scripts/ws_handlers.py").write_text("")  # it starts, whatever is written
    answers = "Wrong\nreviews\nGET_REVIEWS\n\nid:wrong\nid:id\n\nnobody\nadmin\n"
    result = write(checkout, answers)
    assert result.returncode == 0, result.stderr
    assert "'Wrong' is no domain's name" in result.stderr
    assert "there is no type 'wrong'" in result.stderr
    assert "there is no role 'nobody'" in result.stderr
    handler = (checkout / "app/domains/reviews/packets.py").read_text()
    assert f'"""{default_summary("GET_REVIEWS")}"""' in handler
    assert "request: RequestModel[GetReviewsRequest]) -> NoData:" in handler


def test_a_wrong_option_is_refused_before_anything_is_written() -> None:
    result = write(ROOT, **OPTIONS | {"rule": "nobody"})
    assert (result.returncode, result.stdout) == (1, "")
    assert "there is no role 'nobody' in actions.json; there are: admin, author-editor" in result.stderr
    assert not (ROOT / "app/domains/reviews").exists()


def test_nobody_answers() -> None:
    result = write(ROOT, domain="reviews")
    assert result.returncode == 1
    assert "no answer; use --packet" in result.stderr


def test_make_hands_every_value_on_as_it_is() -> None:
    """Quotes and spaces reach the script; names of the environment do not."""
    values = {"DOMAIN": "it's", "PACKET": 'A "B"', "RULE": "a b"}
    arguments = ["--no-print-directory", "new-ws-handlers", *(f"{name}={value}" for name, value in values.items())]

    def make(*options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(shutil.which("make")), *options, *arguments],
            cwd=ROOT,
            env=os.environ | {"SUMMARY": "from the environment"},
            capture_output=True,
            text=True,
            check=False,
        )

    done = make()
    assert done.returncode
    assert "\"it's\" is no domain's name" in done.stderr
    printed = make("--dry-run").stdout
    assert "--rule 'a b'" in printed
    assert "--packet 'A \"B\"'" in printed
    assert "summary" not in printed


def test_an_application_that_ends_without_a_word_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that is killed."""
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    assert writing.faults_of_start() == "exit status 1"
