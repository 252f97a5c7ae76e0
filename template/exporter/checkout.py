"""Checkout of this repository: its files, and the address and version under which a project finds it again."""

from __future__ import annotations

import fnmatch
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

_REMOTE = re.compile(r"[\w+.-]+:|[\w.-]+@[\w.-]+:")
_OF_A_HOOK = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")
_KNOWN_TO_COPIER = ("git@", "git://", "git+", "https://github.com/", "https://gitlab.com/", "gh:", "gl:")


def paths(root: Path) -> list[str]:
    """Return the files that belong to a checkout, by their paths from its root.

    Those that git knows, where the folder is a git repository; else all but those that ``.gitignore`` names, and other
    projects in it.
    """
    if _git(root, "rev-parse", "--show-toplevel") == str(root.resolve()):
        listed = _git(root, "ls-files", "-z")
        if listed is not None:
            return [path for path in listed.split("\0") if path]
    return sorted(_walk(root))


def _walk(root: Path) -> Iterator[str]:
    ignore = root / ".gitignore"
    lines = ignore.read_text().splitlines() if ignore.is_file() else []
    patterns = [".git", *(line.strip().strip("/") for line in lines if line.strip() and not line.startswith("#"))]

    def is_ignored(name: str) -> bool:
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)

    for folder, folders, names in os.walk(root):
        here = Path(folder)
        folders[:] = [
            name
            for name in folders
            if not is_ignored(name) and ("{" in name or not (here / name / ".copier-answers.yml").exists())
        ]
        yield from ((here / name).relative_to(root).as_posix() for name in names if not is_ignored(name))


def commit(root: Path) -> str | None:
    """Return the version of a checkout as git describes it; None where there is no git."""
    return _git(root, "describe", "--tags", "--always")


def address(root: Path, typed: str, *, is_clone: bool) -> str:
    """Return an address that works from every folder, and as Copier wants it.

    Args:
        root: The checkout.
        typed: As the user typed it: a path, perhaps a relative one, or a git address.
        is_clone: Whether the checkout is a clone, made for this run, of what the user named.
    """
    is_remote = bool(_REMOTE.match(typed)) and not Path(typed).is_dir()
    if not is_remote and Path(typed).is_absolute():
        return typed
    origin = _git(root, "config", "--get", "remote.origin.url") if is_remote or is_clone else None
    if origin is None:
        return typed if is_remote else str(root)
    if (path := origin.removeprefix("file://")).startswith("/"):
        return os.path.normpath(path)
    if "://" in origin and not origin.endswith(".git") and not origin.startswith(_KNOWN_TO_COPIER):
        return f"git+{origin}"
    return origin


def _git(root: Path, *arguments: str) -> str | None:
    """Return what git prints; None where it fails, or is not installed."""
    # A hook of git that runs us points these at its own repository.
    environment = {name: value for name, value in os.environ.items() if name not in _OF_A_HOOK}
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return None
    return done.stdout.strip("\n") if done.returncode == 0 else None
