"""State folder: small JSON documents that only their owner can read, replaced atomically."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

import msgspec

_T = TypeVar("_T")


class StateFolder:
    """Folder of saved keys, users and sessions."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = path

    def read(self, name: str, type_: type[_T]) -> _T | None:
        """Return a document, or None when it was never written.

        Raises:
            msgspec.DecodeError: the document is damaged.
        """
        try:
            content = (self._path / name).read_bytes()
        except FileNotFoundError:
            return None
        return msgspec.json.decode(content, type=type_)

    def write(self, name: str, document: object) -> None:
        """Replace a document atomically: a reader sees the old one or the new one."""
        target = self._path / name
        fresh = target.with_suffix(".new")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(document)))
        fresh.replace(target)
