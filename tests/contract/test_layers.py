"""Imports point one way, as the architecture says; read from the source, so that no import has to run."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import app.framework

ROOT = Path(__file__).parents[2]

LEAVES = {"errors", "settings", "pkg_ids", "version"}
"""Modules that know nothing of the others."""

MAY_IMPORT: dict[str, set[str]] = {
    "domains": {"framework", "pkg_ids"},
    # What domains import: a list of names, taken from where they live.
    "framework": {"auth", "db", "domain", "errors", "http_parameters", "packets", "protocol", "tasks", "topics"},
    "domain": {"packets", "tasks", "topics"},
    "http": {"auth", "connections", "errors", "header_fields", "limits", "observability", "problems", "settings"},
    "header_fields": set(),
    "limits": {"errors", "header_fields", "redis"},
    "problems": {"auth", "errors", "http_input", "observability", "protocol"},
    "http_handlers": {"packets"},
    "http_parameters": {"db", "errors"},
    "http_input": {"errors", "protocol"},
    "console": {"contract", "errors", "settings"},
    "contract": {"errors", "packets", "problems", "protocol", "rbac", "settings", "topics"},
    "connections": {
        "auth",
        "errors",
        "header_fields",
        "http_parameters",
        "limits",
        "observability",
        "packets",
        "protocol",
        "rbac",
        "redis",
        "topics",
    },
    "tasks": {"errors", "observability", "packets", "redis"},
    "topics": {"auth", "db", "errors", "observability", "packets", "protocol", "rbac", "redis"},
    "packets": {"auth", "errors", "observability", "protocol", "rbac"},
    "rbac": {"auth", "errors", "header_fields", "protocol"},
    "auth": {"errors", "header_fields", "limits", "protocol", "redis", "settings"},
    "db": {"errors", "protocol", "settings"},
    "redis": {"errors", "settings"},
    "protocol": {"errors"},
    "server": {"errors", "observability", "settings"},
    "observability": {"auth", "errors", "header_fields", "settings"},
}
"""Parts of the application, each with those that it may use beside itself; the composition puts them together."""

COMPOSITION = {"asgi", "blueprint", "services", "__main__", "app"}

FREE_OF_FRAMEWORKS = (
    "app.framework.errors",
    "app.framework.protocol",
    "app.framework.rbac.actions",
    "app.framework.rbac.coverage",
    "app.framework.rbac.rules",
)
FRAMEWORKS = {"litestar", "sqlalchemy", "advanced_alchemy", "asyncpg", "redis", "granian", "starlette"}

LATE_IMPORTS = {
    ("app/framework/auth/keycloak.py", "keycloak"): "a tenth of the start, and most workers never call Keycloak",
    ("app/framework/auth/keycloak.py", "keycloak.exceptions"): "the same",
    ("app/framework/server/launcher.py", "watchfiles"): "a development dependency, wanted with RELOAD alone",
}
"""Imports inside functions, with the reason; never to break a circle."""


@dataclass(frozen=True)
class Import:
    """One imported module or name."""

    file: str
    line: int
    module: str
    names: tuple[str, ...]
    is_late: bool

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.module}"

    @property
    def importer(self) -> str:
        return part_of(".".join(Path(self.file).with_suffix("").parts))


def part_of(module: str) -> str:
    """Which part of the application a module belongs to."""
    parts = [part for part in module.split(".") if part != "__init__"]
    if len(parts) > 2 and parts[1] == "framework":
        return parts[2]
    return parts[1] if len(parts) > 1 else parts[0]


def imports_of(path: Path) -> Iterator[Import]:
    file = str(path.relative_to(ROOT))
    tree = ast.parse(path.read_text(), file)
    late = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        is_late = id(node) in late
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(file, node.lineno, alias.name, (), is_late)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: imports are written in full"
            names = tuple(alias.name for alias in node.names)
            module = node.module or ""
            if module in ("app", "app.framework.observability", "app.framework.db"):
                # `from package import module` names the module.
                for name in names:
                    is_module = (ROOT / module.replace(".", "/") / f"{name}.py").exists() or module == "app"
                    yield Import(file, node.lineno, f"{module}.{name}" if is_module else module, (name,), is_late)
            else:
                yield Import(file, node.lineno, module, names, is_late)


IMPORTS = [found for path in sorted((ROOT / "app").rglob("*.py")) for found in imports_of(path)]
OWN = [found for found in IMPORTS if found.module.split(".")[0] == "app"]


def test_something_is_looked_at() -> None:
    assert len(OWN) > 100


def test_every_part_has_its_place() -> None:
    parts = {found.importer for found in IMPORTS} - COMPOSITION - LEAVES
    assert parts <= MAY_IMPORT.keys(), "say in MAY_IMPORT what the new part may use"


def test_the_order_itself_has_no_circle() -> None:
    TopologicalSorter(MAY_IMPORT).prepare()


@pytest.mark.parametrize("part", sorted(MAY_IMPORT))
def test_imports_point_one_way(part: str) -> None:
    wrong = [
        str(found) for found in OWN if found.importer == part and part_of(found.module) not in MAY_IMPORT[part] | {part}
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("part", sorted(LEAVES))
def test_leaves_know_nothing_of_the_others(part: str) -> None:
    assert not [str(found) for found in OWN if found.importer == part]


def test_the_framework_knows_no_domain_and_no_number() -> None:
    wrong = [
        str(found)
        for found in OWN
        if found.file.startswith("app/framework/")
        and found.module.startswith(("app.domains", "app.pkg_ids", *(f"app.{name}" for name in COMPOSITION)))
    ]
    assert not wrong, "\n".join(wrong)


def test_domains_import_public_names_only() -> None:
    wrong = [
        str(found)
        for found in OWN
        if found.file.startswith("app/domains/")
        and found.module.startswith("app.framework")
        and (found.module != "app.framework" or not set(found.names) <= set(app.framework.__all__))
    ]
    assert not wrong, "\n".join(wrong)


def test_what_every_part_writes_its_log_with_is_a_leaf() -> None:
    """Logs, masking and correlation are used everywhere; only the settings' secrets are known there."""
    wrong = [
        str(found)
        for found in OWN
        if found.file.removeprefix("app/framework/observability/") in {"logs.py", "masking.py", "correlation.py"}
        and not found.module.startswith(("app.settings", "app.framework.observability"))
    ]
    assert not wrong, "\n".join(wrong)


def test_the_application_knows_neither_scripts_nor_tests() -> None:
    assert not [str(found) for found in IMPORTS if found.module.split(".")[0] in {"scripts", "tests", "bench"}]


def test_no_import_inside_a_function() -> None:
    late = {(found.file, found.module): str(found) for found in IMPORTS if found.is_late}
    assert not [text for key, text in late.items() if key not in LATE_IMPORTS]
    assert late.keys() >= LATE_IMPORTS.keys(), "an exception that is no longer needed"


@pytest.mark.parametrize("module", FREE_OF_FRAMEWORKS)
def test_the_core_is_free_of_frameworks(module: str) -> None:
    """Neither itself nor by what it imports."""
    code = f"import sys, {module}; print(*sorted({{name.split('.')[0] for name in sys.modules}} & {FRAMEWORKS!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_nothing_with_a_life_begins_at_import() -> None:
    code = (
        "import os, threading; before = set(os.listdir('/dev/fd'))\n"
        "import app.asgi, app.__main__\n"
        "print(threading.active_count(), len(set(os.listdir('/dev/fd')) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "0"]


def test_the_public_names_are_told_three_times_alike() -> None:
    """For readers, for type checkers and for the interpreter, which takes them when they are first used."""
    source = ast.parse((ROOT / "app/framework/__init__.py").read_text())
    for_checkers = {
        (alias.name, node.module)
        for block in source.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    names = [name for name, _ in for_checkers]
    assert sorted(names) == sorted(app.framework.__all__)
    assert dict(for_checkers) == app.framework._HOME_OF
    for name in names:
        assert getattr(app.framework, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        app.framework.nothing  # noqa: B018
