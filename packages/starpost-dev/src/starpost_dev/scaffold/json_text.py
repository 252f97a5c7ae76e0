"""JSON files edited in place: whatever is not edited keeps its form.

table = JSONText(text)
table.add(("ws",), "9", "reader")
table.remove(("http", "/authors"))
table.text
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Path = Sequence[str | int]


@dataclass(frozen=True)
class _Entry:
    """Member of an object or item of an array, by the places of its text."""

    key: str | int
    start: int
    value: int
    end: int


class JSONText:
    """Text of a JSON document, and its edits.

    Args:
        text: The document.

    Raises:
        ValueError: It is no JSON.
    """

    def __init__(self, text: str) -> None:
        json.loads(text)
        self.text = text

    @property
    def value(self) -> Any:
        """Content as it is now."""
        return json.loads(self.text)

    def has(self, path: Path) -> bool:
        """Return whether there is a value at ``path``."""
        try:
            self._find(path)
        except KeyError:
            return False
        return True

    def remove(self, path: Path) -> None:
        """Remove a member or an item, with the line that it leaves empty.

        Raises:
            KeyError: There is none.
        """
        entries = self._entries(self._find(path[:-1]).value)
        index = [entry.key for entry in entries].index(self._find(path).key)
        if len(entries) == 1:
            container = self._find(path[:-1])
            start, end = container.value + 1, container.end - 1
        elif index + 1 < len(entries):
            start, end = entries[index].start, entries[index + 1].start
        else:
            start, end = entries[index - 1].end, entries[index].end
        self.text = self.text[:start] + self.text[end:]

    def replace(self, path: Path, value: Any) -> None:
        """Give a member or an item another value, in one line.

        Raises:
            KeyError: There is none.
        """
        entry = self._find(path)
        self.text = self.text[: entry.value] + json.dumps(value, ensure_ascii=False) + self.text[entry.end :]

    def add(self, path: Path, key: str | None, value: Any, *, first: bool = False, text: str = "") -> None:
        """Add a member to an object, or an item to an array: one line, in the form of its neighbours.

        Args:
            path: Of the object or the array.
            key: Of the member; None for an item.
            value: What is added.
            first: Whether it comes before the others.
            text: How the value is written, where one line is not to be.

        Raises:
            KeyError: There is no such object or array.
        """
        container = self._find(path)
        entries = self._entries(container.value)
        entry = text or json.dumps(value, ensure_ascii=False)
        if key is not None:
            entry = f"{json.dumps(key, ensure_ascii=False)}: {entry}"
        if not entries:
            outer, inner = "\n" + "  " * len(path), "\n" + "  " * (len(path) + 1)
            self._put(container.value + 1, container.end - 1, f"{inner}{entry}{outer}")
        elif first:
            at = entries[0].start
            self._put(at, at, f"{entry},{self._space(container.value + 1, at) or ' '}")
        else:
            before = entries[-2].end if len(entries) > 1 else container.value + 1
            at = entries[-1].end
            self._put(at, at, f",{self._space(before, entries[-1].start) or ' '}{entry}")

    def _put(self, start: int, end: int, text: str) -> None:
        self.text = self.text[:start] + text + self.text[end:]

    def _space(self, start: int, end: int) -> str:
        """White space between two entries."""
        return self.text[start:end].replace(",", "")

    def _find(self, path: Path) -> _Entry:
        start = self._skip(0, "")
        found = _Entry("", start, start, len(self.text.rstrip()))
        for key in path:
            found = next((entry for entry in self._entries(found.value) if entry.key == key), None) or _missing(path)
        return found

    def _entries(self, at: int) -> list[_Entry]:
        """Entries of the object or array whose bracket is at ``at``; none of anything else."""
        if self.text[at] not in "{[":
            return []
        is_object, decoder = self.text[at] == "{", json.JSONDecoder()
        entries: list[_Entry] = []
        index = self._skip(at + 1, "")
        while self.text[index] not in "}]":
            key: str | int = len(entries)
            value = index
            if is_object:
                key, colon = decoder.raw_decode(self.text, index)
                value = self._skip(colon, ":")
            _, end = decoder.raw_decode(self.text, value)
            entries.append(_Entry(key, index, value, end))
            index = self._skip(end, ",")
        return entries

    def _skip(self, index: int, separators: str) -> int:
        while self.text[index] in separators + " \t\r\n":
            index += 1
        return index


def _missing(path: Path) -> _Entry:
    raise KeyError(".".join(map(str, path)))
