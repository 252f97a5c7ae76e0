"""The pages of ``docs/guide``, followed step by step in a copy of the checkout: what they say to write is written, what
they say to type is typed, and the domain that they build passes its own tests.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tests.dev.checkouts import ROOT, clean_environment

GUIDE = ROOT / "docs" / "guide"
STEPS = (
    ("add-a-packet.md", "make new-ws-handlers"),
    ("change-the-database.md", ""),
    ("add-a-packet.md", ""),
    ("add-a-route.md", ""),
    ("push-events.md", ""),
    ("run-in-the-background.md", ""),
    ("permissions.md", ""),
    ("settings.md", ""),
    ("test.md", ""),
)
"""Pages that write code, in the order in which one follows from the other; of the first one, the command that makes a
domain comes before the table, and the rest after it.
"""

ELSEWHERE = {"add-a-domain.md": "packages/starpost-dev/tests/dev/test_new_domain.py"}
"""Pages that another test follows."""

GENERATED = {"update", "vendor-source"}
"""Commands of a generated project alone."""

PARTS = (
    "app", "scripts", "tests/contract", "migrations", "docker", "requirements", "Makefile", "actions.json",
    "actions.schema.json", "pyproject.toml", ".env.example",
)  # fmt: skip


def fences(page: Path, *languages: str) -> list[tuple[str, str]]:
    """Language and text of a page's blocks."""
    tokens = MarkdownIt().parse(page.read_text())
    return [(token.info, token.content) for token in tokens if token.type == "fence" and token.info in languages]


def copy_of_the_checkout(folder: Path) -> Path:
    """A copy that may be written to, with the environment of this one."""
    for part in PARTS:
        source, target = ROOT / part, folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)
    for name in (".venv", ".tools"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def follow(page: Path, checkout: Path, done: set[str], only: str) -> None:
    """Do what the page says, from its begin to its end, but for what is done; or only the block that begins so."""
    for language, text in fences(page, "python", "json", "sh"):
        if text in done or not text.startswith(only):
            continue
        if language == "sh":
            done.add(text)
        if language == "python":
            write(text, checkout)
        elif language == "json" and "pkg_id" not in text:
            change_rules(json.loads(text), checkout)
        elif language == "sh":
            run(checkout, "bash", "-euc", text)


def write(text: str, checkout: Path) -> None:
    """Write a block to the file that its first line names. What follows a line ``...`` is added to that file."""
    first, _, rest = text.partition("\n")
    match = re.fullmatch(r"# (\S+\.py)", first)
    assert match, f"name the file of the block: {first}"
    file = checkout / match[1]
    file.parent.mkdir(parents=True, exist_ok=True)
    before, dots, added = rest.partition("    ...\n")
    file.write_text(file.read_text() + added if dots else before)


def change_rules(changes: dict[str, object], checkout: Path) -> None:
    """Add a block of JSON to ``actions.json``."""
    file = checkout / "actions.json"
    rules = json.loads(file.read_text())
    for name, value in changes.items():
        rules[name] = rules[name] + value if isinstance(value, list) else rules[name] | value
    file.write_text(json.dumps(rules, indent=2))


def run(checkout: Path, *command: str) -> str:
    """Run a command in the copy; what it printed."""
    done = subprocess.run(
        command, cwd=checkout, env=clean_environment(), capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.timeout(300)
def test_who_follows_the_pages_has_a_domain_that_works(short_folder: Path) -> None:
    checkout = copy_of_the_checkout(short_folder)
    done: set[str] = set()
    for page, only in STEPS:
        follow(GUIDE / page, checkout, done, only)
    record = checkout / "tests/contract/pkg_ids.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"REVIEW_EVENT": 11}))
    # The page on tests has one file in place of the two that the command wrote.
    for name in ("get_review", "create_review"):
        (checkout / f"tests/domains/reviews/test_{name}.py").unlink()
    run(checkout, sys.executable, "-m", "starpost_dev.checks.check", "docstrings", "permissions")
    run(checkout, sys.executable, "-m", "ruff", "check", "app", "tests")
    run(checkout, sys.executable, "-m", "ruff", "format", "--check", "app", "tests")
    tested = run(
        checkout, sys.executable, "-m", "pytest", "-q", "tests/domains/reviews", "tests/contract/test_pkg_ids.py"
    )
    assert re.search(r"\d+ passed", tested), tested
    assert "# MAX_REVIEWS=1000\n" in (checkout / ".env.example").read_text()


@pytest.fixture
def short_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("guide")


def test_every_page_with_code_is_followed() -> None:
    written = {page.name for page in GUIDE.glob("*.md") if fences(page, "python", "sh")}
    assert written == {page for page, _ in STEPS} | ELSEWHERE.keys(), "follow it in the test above"
    for page, file in ELSEWHERE.items():
        assert f"docs/guide/{page}" in (ROOT / file).read_text()


def test_every_command_of_the_pages_is_one() -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in GUIDE.glob("*.md"):
        for target in re.findall(r"\bmake (?:-s )?([a-z][a-z-]*)", page.read_text()):
            assert target in targets | GENERATED, f"{page.name}: make {target}"


def test_the_pages_that_stay_do_not_know_the_example() -> None:
    for page in GUIDE.glob("*.md"):
        words = re.findall(r"(?i)author(?!iz)\w*|\bbooks?\b", page.read_text())
        assert page.name == "example.md" or words == [], f"{page.name}: {words}"
