"""The state folder: small JSON documents that only their owner can read, replaced whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

import msgspec

_T = TypeVar("_T")


class StateFolder:
    """The folder where keys, users and sessions outlive the process."""

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
        """Replace a document; a reader sees the old one or the new one, never half of it."""
        target = self._path / name
        fresh = target.with_suffix(".new")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(document)))
        fresh.replace(target)
