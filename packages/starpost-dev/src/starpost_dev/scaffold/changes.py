"""Change of several files that can be undone."""

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from starpost_dev.scaffold.errors import ScaffoldError


class Changes:
    """Context manager that writes files, and restores them at the end unless ``keep`` was called.

        with Changes(contents) as changes:
            check()
            changes.keep()

    Args:
        contents: The new text of each file.
        originals: The texts from which the new ones were made; ``None`` for a file that must not exist. A file that
            has another text by now is left alone.

    Raises:
        ScaffoldError: A file was changed or created meanwhile.
    """

    def __init__(self, contents: Mapping[Path, str], originals: Mapping[Path, str | None]) -> None:
        self._contents = contents
        self._originals = originals
        self._written: list[Path] = []
        self._folders: list[Path] = []
        self._is_kept = False

    def __enter__(self) -> Self:
        changed = [path for path in self._contents if _read(path) != self._originals[path]]
        if changed:
            raise ScaffoldError(f"{changed[0]} has changed meanwhile; nothing was written")
        try:
            with _uninterrupted():
                for path, text in self._contents.items():
                    self._make_folders(path.parent)
                    self._written.append(path)
                    path.write_bytes(text.encode())
        except BaseException:
            self._undo()
            raise
        return self

    def keep(self) -> None:
        """Keep the new files."""
        self._is_kept = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if not self._is_kept:
            self._undo()

    def _make_folders(self, folder: Path) -> None:
        missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
        for parent in reversed(missing):
            self._folders.append(parent)
            parent.mkdir()

    def _undo(self) -> None:
        with _uninterrupted():
            self._put_back()

    def _put_back(self) -> None:
        for path in reversed(self._written):
            original = self._originals[path]
            if original is None:
                if path.is_file():
                    path.unlink()
            else:
                path.write_bytes(original.encode())
        for folder in reversed(self._folders):
            if folder.is_dir():
                # Python may have compiled the new files.
                for compiled in folder.glob("__pycache__/*.pyc"):
                    compiled.unlink()
                for cache in folder.glob("__pycache__"):
                    cache.rmdir()
                folder.rmdir()


def _read(path: Path) -> str | None:
    return path.read_bytes().decode() if path.exists() else None


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Block signals, so that the files are written or restored completely."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
