"""Renaming of the application's package: imports by the syntax tree, texts by the paths and modules that they name."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator

MODULE = "app"
"""Name of the package in this repository."""

_PARTS = r"__main__|asgi|domains|pkg_ids|settings"
_IN_TEXT = re.compile(
    rf"(?<![\w./-]){MODULE}(?=\.(?:{_PARTS})\b|/)"
    rf"|(?<=-m ){MODULE}\b"
    rf'|(?<="-m", "){MODULE}(?=")'
    rf"|(?<=from ){MODULE}(?= import)"
)


def renamed_text(text: str, module: str) -> str:
    """Rename the package in prose and settings: ``app/…``, ``app.asgi…``, ``python -m app``."""
    return _IN_TEXT.sub(module, text)


def renamed_python(source: str, module: str) -> str:
    """Rename the package in a module of Python: imports, what they bind, strings and comments.

    A variable of the same name, and a string that only equals it, stay.
    """
    lines = source.splitlines(keepends=True)
    places = {*_names(ast.parse(source), lines), *_tokens(source)}
    for row, column in sorted(places, reverse=True):
        line = lines[row]
        lines[row] = line[:column] + module + line[column + len(MODULE) :]
    return "".join(lines)


def _names(tree: ast.Module, lines: list[str]) -> Iterator[tuple[int, int]]:
    """Yield row and column of each name of the package in the code."""
    is_bound = False
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(level=0, module=str(name)) if _is_of_package(name):
                row = node.lineno - 1
                yield row, lines[row].index(MODULE, _column(lines[row], node.col_offset) + len("from "))
            case ast.Import(names=aliases):
                for alias in aliases:
                    if _is_of_package(alias.name):
                        row = alias.lineno - 1
                        yield row, _column(lines[row], alias.col_offset)
                        is_bound |= alias.asname is None
            case ast.Call(func=ast.Name(id="Project"), args=[ast.Constant(value=value) as argument]) if value == MODULE:
                row = argument.lineno - 1
                yield row, _column(lines[row], argument.col_offset) + 1
    if is_bound:
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and node.id == MODULE:
                yield node.lineno - 1, _column(lines[node.lineno - 1], node.col_offset)


def _is_of_package(name: str) -> bool:
    return name == MODULE or name.startswith(f"{MODULE}.")


def _column(line: str, offset: int) -> int:
    """Return the index of a character; ``ast`` counts bytes."""
    return len(line.encode()[:offset].decode())


def _tokens(source: str) -> Iterator[tuple[int, int]]:
    """Yield row and column of each name of the package in strings and comments."""
    kinds = {tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in kinds:
            continue
        row, column = token.start
        for number, line in enumerate(token.string.split("\n")):
            shift = column if number == 0 else 0
            yield from ((row - 1 + number, shift + match.start()) for match in _IN_TEXT.finditer(line))
