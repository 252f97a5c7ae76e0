"""Files of a project in memory, and their way from and to a folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Tree = dict[str, bytes]
"""Contents by path from the root, with ``/``."""


class EditError(Exception):
    """A source is not as the exporter expects it; the text names the file and what was looked for."""


@dataclass
class Files:
    """A tree, and which of its files can be run."""

    tree: Tree = field(default_factory=dict)
    executable: set[str] = field(default_factory=set)

    def text(self, path: str) -> str:
        """Return a file as text.

        Raises:
            EditError: There is no such file.
        """
        if path not in self.tree:
            raise EditError(f"{path} is missing")
        return self.tree[path].decode()

    def write(self, path: str, text: str) -> None:
        """Set a file's text."""
        self.tree[path] = text.encode()

    def replace(self, path: str, old: str, new: str) -> None:
        """Replace a text that a file has exactly once.

        Raises:
            EditError: The file has it not at all, or more than once.
        """
        text = self.text(path)
        if (count := text.count(old)) != 1:
            raise EditError(f"{path} has {old!r} {count} times, not once")
        self.write(path, text.replace(old, new))


def read_files(root: Path, paths: Iterable[str]) -> Files:
    """Read regular files; what is a link, a socket or gone is left out."""
    files = Files()
    for path in paths:
        file = root / path
        try:
            mode = file.lstat().st_mode
        except FileNotFoundError:
            continue
        if stat.S_ISREG(mode):
            files.tree[path] = file.read_bytes()
            if mode & stat.S_IXUSR:
                files.executable.add(path)
    return files


def write_files(root: Path, files: Files) -> None:
    """Write the files that differ from those of a folder; others stay as they are, with their times."""
    for path in files.tree:
        file = root / path
        if file.is_symlink() or (file.exists() and not file.is_file()):
            raise EditError(f"{file} is in the way: it is no file")
    for path, content in files.tree.items():
        file = root / path
        if not file.is_file() or file.read_bytes() != content:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        is_executable = bool(file.stat().st_mode & stat.S_IXUSR)
        if is_executable is not (path in files.executable):
            file.chmod(_mode(executable=path in files.executable))


def _mode(*, executable: bool) -> int:
    umask = os.umask(0)
    os.umask(umask)
    return (0o777 if executable else 0o666) & ~umask


def digest_parts(tree: Mapping[str, bytes]) -> Iterable[bytes]:
    """Yield names and contents in one order, unambiguous when they are joined."""
    for path in sorted(tree):
        for part in (path.encode(), tree[path]):
            yield len(part).to_bytes(8, "big") + part
