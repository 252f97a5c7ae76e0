"""Edits of source text at places that the parser finds. The rest of the text stays as it is."""

import ast
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starpost_dev.scaffold.errors import ScaffoldError
from starpost_dev.scaffold.json_text import JSONText


def add_to_module(text: str, imports: list[str], block: str) -> str:
    """Add imports after the existing ones, and the block at the end; ``tidy`` sorts them."""
    lines = text.splitlines()
    body = ast.parse(text).body
    last = 0
    for index, node in enumerate(body):
        is_docstring = index == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if is_docstring or isinstance(node, ast.Import | ast.ImportFrom):
            last = node.end_lineno or last
    return "\n".join([*lines[:last], *imports, *lines[last:], "", "", block.rstrip(), ""])


def names_of(text: str) -> set[str]:
    """Return all names at the module's top level, imports included."""
    names: set[str] = set()
    for node in ast.parse(text).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def router_of(text: str) -> str | None:
    """Return the name of the module's first ``PackageRouter()``; ``None`` if there is none."""
    for node in ast.parse(text).body:
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Call)
            and ast.unparse(node.value.func) == "PackageRouter"
            and isinstance(node.targets[0], ast.Name)
        ):
            return node.targets[0].id
    return None


def add_number(text: str, name: str, number: int) -> str:
    """Add a member at the end of ``PkgID``.

    Raises:
        ScaffoldError: The module has no such class.
    """
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef) and node.name == "PkgID":
            lines = text.splitlines()
            lines.insert(node.body[-1].end_lineno or node.lineno, f"    {name} = {number}")
            return "\n".join([*lines, ""])
    raise ScaffoldError("pkg_ids.py has no class PkgID")


def add_rule(text: str, number: int, rule: Any) -> str:
    """Add a packet's rule at the end of ``ws``; the rest of the file keeps its form.

    Raises:
        ScaffoldError: The file does not have the form of a permission table.
    """
    table = JSONText(text)
    if table.has(("ws", str(number))):
        raise ScaffoldError(f"actions.json has a rule for {number} already, and no packet has that number")
    if not isinstance(table.value.get("ws"), dict):
        raise ScaffoldError("actions.json has no 'ws'")
    table.add(("ws",), str(number), rule)
    return table.text


def tidy(texts: Mapping[Path, str], root: Path) -> dict[Path, str]:
    """Sort the imports and format, as ``make format`` would.

    Args:
        texts: By their paths in the project.
        root: Of the project, for its settings.

    Raises:
        ScaffoldError: A text is not valid Python.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path, text in texts.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(text.encode())
        # Ruff treats modules that are not written yet as first-party, because pyproject.toml names their packages.
        config = ("--quiet", "--no-cache", "--config", str(root / "pyproject.toml"), ".")
        for command in (("check", "--select", "I", "--fix", *config), ("format", *config)):
            done = subprocess.run(
                [sys.executable, "-m", "ruff", *command], cwd=folder, capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise ScaffoldError(f"it cannot be formatted: {done.stderr.strip() or done.stdout.strip()}")
        return {path: (folder / path).read_bytes().decode() for path in texts}
