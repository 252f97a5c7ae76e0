"""This repository as the exporter reads it, and projects made of it."""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from template.exporter import checkout, environment, vendor
from template.exporter.answers import Answers
from template.exporter.export import exported
from template.exporter.formatting import format_python
from template.exporter.tree import Files, Tree, read_files
from template.tests.repositories import Programs

ROOT = Path.cwd()

GIT_SETTINGS = """
[user]
    name = Tester
    email = tester@example.org
[init]
    defaultBranch = main
"""

Export = Callable[[Answers], Files]


@pytest.fixture(scope="session")
def source() -> Files:
    return read_files(ROOT, checkout.paths(ROOT))


@pytest.fixture(scope="session")
def archives(source: Files, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tree]:
    return vendor.built(source, tmp_path_factory.mktemp("archives"))


@pytest.fixture(scope="session")
def export(source: Files, archives: dict[str, Tree]) -> Export:
    """Export for some answers, once for all tests."""

    @cache
    def project(answers: Answers) -> Files:
        files = exported(source, answers, archives)
        format_python(files)
        return files

    return project


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    """Cookiecutter, Copier and git with nothing of the user's own settings."""
    home = tmp_path_factory.mktemp("home")
    (home / ".gitconfig").write_text(GIT_SETTINGS)
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "COOKIECUTTER", "COPIER"))
    }
    # The caches of packages are the user's: they are what makes this quick.
    cache = kept.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    python = environment.python(ROOT / "template" / "tests" / "requirements.lock")
    return Programs(kept | {"HOME": str(home), "XDG_CACHE_HOME": cache, "GIT_CONFIG_NOSYSTEM": "1"}, str(python))
