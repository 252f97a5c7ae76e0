"""Copies of the application, as a project has it that was made from this one: without the packages."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

ROOT = Path.cwd()
GIT = shutil.which("git") or "git"
PARTS = (
    "app/", "scripts/", "tests/contract/", "tests/domains/", "migrations/", "docker/", "docs/guide/", "examples/",
    "tests/__init__.py", "actions.json", "actions.schema.json", "pyproject.toml", "README.md", ".gitignore",
)  # fmt: skip


@cache
def application() -> Mapping[str, bytes]:
    """Its files by their paths."""
    listed = subprocess.run(
        [GIT, "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {
        name: (ROOT / name).read_bytes()
        for name in listed.stdout.split("\0")
        if name.startswith(PARTS) and (ROOT / name).is_file()
    }


def write_tree(tree: Mapping[str, bytes], folder: Path) -> Path:
    for name, content in tree.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return folder


def run(folder: Path, *command: str, answers: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a module of Python in the folder."""
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=os.environ | environ,
        input=answers,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def is_good(folder: Path, *command: str) -> None:
    """Run a module of Python that has to succeed."""
    done = run(folder, *command)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def commit(folder: Path) -> None:
    """Make a repository of the folder, or another commit."""
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    for command in (("init", "--quiet"), ("add", "--all"), (*identity, "commit", "--quiet", "--message", "A state")):
        subprocess.run([GIT, *command], cwd=folder, check=True, capture_output=True)
