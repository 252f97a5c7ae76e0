"""What importing does and does not do. Which part may import which is import-linter's to hold (``make check``)."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import starpost

FREE_OF_FRAMEWORKS = (
    "starpost.errors",
    "starpost.protocol",
    "starpost.rbac.actions",
    "starpost.rbac.coverage",
    "starpost.rbac.rules",
)
FRAMEWORKS = {"litestar", "sqlalchemy", "advanced_alchemy", "asyncpg", "redis", "granian", "starlette"}

LATE_IMPORTS = {
    ("composition/services.py", "starpost.sockets.listener"): "picows is an extra, needed with WS_PORT alone",
    ("auth/keycloak.py", "keycloak"): "a tenth of the start, and most workers never call Keycloak",
    ("auth/keycloak.py", "keycloak.exceptions"): "the same",
    ("server/launcher.py", "watchfiles"): "a development dependency, wanted with RELOAD alone",
}
"""Imports inside functions, with the reason; never to break a circle."""

SOURCES = Path(starpost.__file__).parent


def run(code: str) -> str:
    """What an interpreter of its own prints."""
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("module", FREE_OF_FRAMEWORKS)
def test_the_core_is_free_of_frameworks(module: str) -> None:
    """Neither itself nor by what it imports."""
    code = f"import sys, {module}; print(*sorted({{name.split('.')[0] for name in sys.modules}} & {FRAMEWORKS!r}))"
    assert run(code) == ""


@pytest.mark.parametrize("module", ["starpost.server.launcher", "app.__main__"])
def test_the_launcher_loads_neither_orm_nor_framework(module: str) -> None:
    """With the settings of an application neither."""
    code = f"import sys, {module}; print(*sorted({FRAMEWORKS - {'granian'}!r} & set(sys.modules)))"
    assert run(code) == ""


def test_nothing_with_a_life_begins_at_import() -> None:
    code = (
        "import os, threading; before = set(os.listdir('/dev/fd'))\n"
        "import tests.specimen.asgi, tests.specimen.__main__\n"
        "print(threading.active_count(), len(set(os.listdir('/dev/fd')) - before))"
    )
    assert run(code).split() == ["1", "0"]


def test_every_public_name_has_a_home() -> None:
    names: list[str] = vars(starpost)["__all__"]
    assert len(names) > 40
    for name in names:
        assert getattr(starpost, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        starpost.nothing  # type: ignore[attr-defined]  # noqa: B018


def test_no_import_inside_a_function() -> None:
    late = set()
    for path in sorted(SOURCES.rglob("*.py")):
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                for node in ast.walk(function):
                    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                    names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                    late |= {(str(path.relative_to(SOURCES)), name) for name in names}
    assert late == LATE_IMPORTS.keys(), "imported late without a reason, or a reason without an import"
