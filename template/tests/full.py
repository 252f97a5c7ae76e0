"""Projects in full: their own commands, in an environment of their own, with services of their own."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from template.tests.repositories import Programs

UV = shutil.which("uv", path=os.pathsep.join([str(Path.cwd() / ".tools" / "bin"), os.environ["PATH"]]))

full = pytest.mark.timeout(900)
"""Mark of a test that installs a project, and runs its checks and its tests."""


def as_a_user(programs: Programs) -> Programs:
    """Return the programs without the variables of the run that we are part of, and with its uv: nothing is fetched."""
    environment = {
        name: value
        for name, value in programs.environment.items()
        if not name.startswith(("PYTEST", "MAKE", "MFLAGS", "VIRTUAL_ENV", "PYTHONPATH"))
    }
    if UV is not None:
        environment["PATH"] = os.pathsep.join([str(Path(UV).parent), environment["PATH"]])
    return Programs(environment, programs.python)


def make(programs: Programs, project: Path, *targets: str, status: int = 0) -> str:
    """Run commands of a project; what they printed."""
    return as_a_user(programs).run("make", f"PYTHON={sys.executable}", *targets, cwd=project, status=status)


def hold_to_its_checks_and_tests(programs: Programs, project: Path) -> None:
    """Run both; every test must pass, and nothing may be left to commit."""
    programs.commit(project)
    make(programs, project, "check")
    said = make(programs, project, "test", "ARGS=-n 2")
    assert " passed" in said
    assert " skipped" not in said
    assert programs.git("status", "--porcelain", cwd=project) == ""
