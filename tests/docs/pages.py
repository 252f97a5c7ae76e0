"""Python blocks of the documents: found as Markdown defines them, and run."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from markdown_it import MarkdownIt

ROOT = Path.cwd()


def documents() -> Iterator[str]:
    """Every page, relative to the root of the checkout."""
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        yield str(path.relative_to(ROOT))


def python_blocks(page: str, *, before: bool = False) -> list[tuple[int, str]]:
    """The line and the text of each block of Python.

    Args:
        page: Relative to the root of the checkout.
        before: Those that show other people's code, fenced as ``python before``, which cannot be run here.
    """
    tokens = MarkdownIt().parse((ROOT / page).read_text())
    infos = (["python", "before"],) if before else (["python"], ["py"])
    return [
        (token.map[0] + 1, token.content)
        for token in tokens
        if token.type == "fence" and token.info.split() in infos and token.map is not None
    ]


def run(page: str, **given: Any) -> ModuleType:
    """Run all blocks of a page, one after the other, in one module.

    Args:
        page: Relative to the root of the checkout.
        given: The names that the page takes for granted: parts of the reader's own application.
    """
    module = ModuleType(page.replace("/", ".").removesuffix(".md"))
    vars(module).update(given)
    # SQLAlchemy and msgspec look an annotation's names up in the module of its class.
    sys.modules[module.__name__] = module
    for line, text in python_blocks(page):
        # The empty lines make a trace name the line of the page.
        exec(compile("\n" * line + text, str(ROOT / page), "exec", dont_inherit=True), vars(module))  # noqa: S102
    return module
