"""What the security page names exists: modules, settings, tests, documents. So no promise outlives its test."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import msgspec
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from starpost.packets.numbers import SystemPacket
from starpost.settings import Settings
from tests.docs.pages import ROOT

PAGE = ROOT / "docs/security.md"
SETTINGS = {field.name.upper() for field in msgspec.structs.fields(Settings)}
TARGETS = set(re.findall(r"^\.PHONY: (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE))
MODULES = (ROOT / "packages/starpost/src/starpost", ROOT / "app")
TESTS = (ROOT / "tests", ROOT / "packages/starpost/tests", ROOT / "packages/starpost-dev/tests")
"""Where a module may be; the first is what most of the page is about."""

EXAMPLE = "domains/authors/"
"""Tests of the example, which a promise may lean on, and which `make remove-example` takes away."""

METRICS = (ROOT / "docs/observability.md").read_text()


def tokens_of(text: str) -> Iterator[Token]:
    """All tokens of a page, those inside of paragraphs and cells too."""
    for token in MarkdownIt().enable("table").parse(text):
        yield token
        yield from token.children or ()


@cache
def functions_of(file: Path) -> frozenset[str]:
    """The test functions of a file, those of its classes as pytest names them: ``TestThis::test_that``."""
    body = ast.parse(file.read_text()).body
    classes = [node for node in body if isinstance(node, ast.ClassDef)]
    named = [("", node) for node in body]
    named += [(f"{owner.name}::", node) for owner in classes for node in owner.body]
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(
        owner + node.name for owner, node in named if isinstance(node, functions) and node.name.startswith("test_")
    )


@cache
def anchors_of(file: Path) -> frozenset[str]:
    """The headings of a page, as its links name them."""
    headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
    return frozenset(re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings)


def is_named_wrongly(code: str) -> bool:
    """Whether a code span names something of ours that does not exist."""
    file, is_test, test = code.partition("::")
    if file.startswith(EXAMPLE) and not (TESTS[0] / EXAMPLE).exists():
        return False
    if is_test:
        path = next((found for found in (folder / file for folder in TESTS) if found.is_file()), None)
        return path is None or test not in functions_of(path)
    if code.endswith(".py"):
        return not any((folder / code).is_file() for folder in MODULES)
    if code.startswith("make "):
        return code.removeprefix("make ").split()[0] not in TARGETS
    if code.endswith("_total"):
        return f"`{code}`" not in METRICS
    name = code.partition("=")[0]
    # One word in capitals may be a packet, or of another world: `JSON`, `PING`.
    return bool(re.fullmatch(r"[A-Z]+(_[A-Z]+)+", name)) and name not in SETTINGS | set(SystemPacket.__members__)


def is_link_broken(target: str) -> bool:
    """Whether a link within the project leads nowhere."""
    if re.match(r"\w+:", target):
        return False
    path, _, anchor = target.partition("#")
    file = (PAGE.parent / path).resolve() if path else PAGE
    return not file.exists() or (anchor != "" and anchor not in anchors_of(file))


def faults_of(text: str) -> list[str]:
    """What the page names and nobody has."""
    faults = []
    for token in tokens_of(text):
        if token.type == "code_inline" and is_named_wrongly(token.content):
            faults.append(token.content)
        if token.type == "link_open" and is_link_broken(str(token.attrs["href"])):
            faults.append(str(token.attrs["href"]))
    return faults


def rows_of(text: str) -> list[str]:
    """The rows of all tables, without their heads."""
    without_heads = re.sub(r"^\|.*\n\|[-|]+$", "", text, flags=re.MULTILINE)
    return re.findall(r"^\|.*\|$", without_heads, re.MULTILINE)


def section(title: str) -> str:
    """A section of the page, its subsections included."""
    return re.split(r"^## ", PAGE.read_text().partition(f"\n## {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def test_all_that_the_page_names_exists() -> None:
    assert faults_of(PAGE.read_text()) == []


@pytest.mark.parametrize(
    "wrong",
    [
        "`framework/http/test_hosts.py::test_nothing`",
        "`framework/http/test_nothing.py::test_patterns`",
        "`framework/http/test_hosts.py::nobody`",
        "`http/nothing.py`",
        "`WS_NOTHING_SUCH`",
        "`WS_NOTHING_SUCH=1`",
        "`make nothing`",
        "`ws_nothing_total`",
        "[a page](nothing.md)",
        "[a heading](limits.md#nothing)",
        "[a heading](#nothing)",
    ],
)
def test_what_does_not_exist_is_found(wrong: str) -> None:
    assert len(faults_of(f"Text.\n\n| a | b |\n|---|---|\n| {wrong} | `WS_RATE_LIMIT` |\n")) == 1


def test_every_promise_names_its_mechanism_and_a_test() -> None:
    rows = rows_of(section("Promises"))
    assert len(rows) > 30
    for row in rows:
        _promise, mechanism, _setting, tests = (cell.strip() for cell in row.strip("|").split("|"))
        assert mechanism, row
        assert "::" in tests, row


def test_every_risk_has_a_row() -> None:
    risks = [re.match(r"\| (API\d+:2023) ", row) for row in rows_of(section("OWASP API Security Top 10, 2023"))]
    assert [risk and risk[1] for risk in risks] == [f"API{number}:2023" for number in range(1, 11)]


def test_every_setting_that_limits_is_named() -> None:
    """Who adds a limit says here what it promises."""
    named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)", PAGE.read_text()))
    assert {
        name for name in SETTINGS if re.search(r"RATE_LIMIT|_MAX_(?!TIMEOUT)|^ALLOW|INSECURE|TRUSTED", name)
    } - named == NOT_LIMITS


NOT_LIMITS = {"DB_MAX_OVERFLOW", "DB_INIT_MAX_RETRIES", "WS_MAX_PARALLEL"}
"""Settings whose names only look so."""
