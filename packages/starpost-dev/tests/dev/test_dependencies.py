"""Each distribution declares what it imports, and bounds what it is held by."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from starpost_dev.checks.private_names import distributions

ROOT = Path.cwd()

HELD = {"asyncpg", "granian", "litestar", "msgspec", "picows", "redis", "sqlalchemy"}
"""Packages whose internals, or whose unwritten behaviour, the framework leans on."""

UNDECLARED = {
    "app/domains/authors/service.py": "httpx",
    "migrations/versions/0001_add_authors_and_books.py": "asyncpg",
    "packages/starpost/src/starpost/db/pool.py": "greenlet",
    "packages/starpost-dev/src/starpost_dev/layout.py": "redis",
}
"""Packages that are installed, and that the distribution of the file does not declare."""


def test_an_import_that_is_not_declared_is_noticed(tmp_path: Path) -> None:
    for folder in ("app", "migrations", "packages/starpost/src", "packages/starpost-dev/src"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "packages/starpost/pyproject.toml", "packages/starpost-dev/pyproject.toml"):
        shutil.copy(ROOT / file, tmp_path / file)
    for file, package in UNDECLARED.items():
        with (tmp_path / file).open("a") as code:
            code.write(f"\n\ndef late():\n    import {package}\n")
    done = subprocess.run(
        [sys.executable, "-m", "starpost_dev.checks.dependencies"],
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    noticed = re.findall(r"^(\S+?):\d+:\d+: \w+ '(\w+)' imported", said, re.MULTILINE)
    assert set(noticed) == set(UNDECLARED.items()), said


def test_what_is_held_by_its_internals_has_an_upper_bound() -> None:
    framework = next(each for each in distributions() if each.package == "starpost")
    project = framework.project["project"]
    texts = [*project["dependencies"], *project["optional-dependencies"]["picows"]]
    bounded = {
        canonicalize_name(requirement.name)
        for requirement in map(Requirement, texts)
        if any(part.operator == "<" for part in requirement.specifier)
    }
    assert bounded >= HELD
    listed = {entry["of"] for entry in framework.listed.values()} - {"python", *sys.stdlib_module_names}
    assert listed <= HELD
