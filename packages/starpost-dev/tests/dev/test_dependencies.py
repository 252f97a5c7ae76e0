"""Each distribution declares what it imports."""

import ast
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from starpost_dev.checks.private_names import Distribution, distributions

DISTRIBUTIONS = [each for each in distributions() if each.package != "app"]

HELD = {"asyncpg", "granian", "litestar", "msgspec", "redis", "sqlalchemy"}
"""Packages whose internals, or whose unwritten behaviour, the framework leans on."""


def declared(distribution: Distribution, *, extras: bool) -> dict[str, Requirement]:
    project = distribution.project["project"]
    texts = [*project["dependencies"]]
    if extras:
        texts += [text for extra in project.get("optional-dependencies", {}).values() for text in extra]
    return {canonicalize_name(Requirement(text).name): Requirement(text) for text in texts}


def imported(folder: Path) -> set[str]:
    """Top-level packages that a folder's code imports, under type checking or late too."""
    names: set[str] = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names.update(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                names.add((node.module or "").partition(".")[0])
    return names - sys.stdlib_module_names


@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=lambda each: each.package)
def test_every_import_is_declared(distribution: Distribution) -> None:
    homes = packages_distributions()
    wanted = {
        name
        for name in imported(distribution.folder) - {distribution.package}
        if not {canonicalize_name(home) for home in homes.get(name, [name])}
        & declared(distribution, extras=True).keys()
    }
    assert wanted == set()


def test_what_is_held_by_its_internals_has_an_upper_bound() -> None:
    framework = next(each for each in DISTRIBUTIONS if each.package == "starpost")
    requirements = declared(framework, extras=False)
    assert {name for name in HELD if not any(part.operator == "<" for part in requirements[name].specifier)} == set()
    listed = {entry["of"] for entry in framework.listed.values()} - {"python"}
    assert listed <= HELD
