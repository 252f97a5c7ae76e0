"""Private names of other packages that the code uses, each from a list with its reason.

The list stands in the ``pyproject.toml`` of the distribution, one entry for each module::

    [tool.starpost.private-names."shop.pool"]
    of = "sqlalchemy"
    names = ["_pool"]
    reason = "Lends connections without a greenlet."

A private name is an attribute, an import, a constant for ``getattr`` or an overridden member of a foreign class that
begins with one underscore, or an import that the package's own types do not have (``# type: ignore[attr-defined]``).
A name without an entry fails, and so does an entry without its name. The list may also have names without an underscore
that their package does not document.
"""

import ast
import importlib
import inspect
import sys
import tomllib
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from starpost_dev import layout

TABLE: Final = "private-names"

DOCUMENTED: Final = frozenset({"os._exit", "_replace", "_asdict", "_fields", "_make", "_field_defaults"})
"""Names of the standard library that have the underscore for another reason."""

BY_TEXT: Final = frozenset({"getattr", "setattr", "hasattr", "delattr"})
"""Functions whose second argument is a name."""


@dataclass(frozen=True)
class Distribution:
    """Distribution: a ``pyproject.toml`` and its modules.

    Args:
        project: Its content.
        package: Name of the top-level package.
        folder: Where the package is.
    """

    project: Mapping[str, Any]
    package: str
    folder: Path

    @property
    def listed(self) -> Mapping[str, Any]:
        """Entries of the list, by module."""
        entries: Mapping[str, Any] = self.project.get("tool", {}).get("starpost", {}).get(TABLE, {})
        return entries

    def modules(self) -> Iterator[tuple[str, ast.Module]]:
        """Yield name and syntax tree of every module."""
        for path in sorted(self.folder.rglob("*.py")):
            parts = path.relative_to(self.folder.parent).with_suffix("").parts
            yield (
                ".".join(part for part in parts if part != "__init__"),
                ast.parse(path.read_text(), str(path), type_comments=True),
            )


def distributions() -> list[Distribution]:
    """Return those of the workspace, and the application."""
    found = []
    for path in sorted(Path().glob("packages/*/pyproject.toml")):
        project = tomllib.loads(path.read_text())
        package = project["project"]["name"].replace("-", "_")
        found.append(Distribution(project, package, path.parent / "src" / package))
    return [
        *found,
        Distribution(tomllib.loads(Path("pyproject.toml").read_text()), layout.module(), Path(layout.module())),
    ]


def is_private(name: str) -> bool:
    """Return whether a name begins with exactly one underscore."""
    return name.startswith("_") and not name.startswith("__") and name != "_"


@dataclass
class Bases:
    """Base classes of a module's classes."""

    modules: set[str]
    """Modules of the same package that their bases are in."""
    inherited: set[str]
    """Private names of their foreign bases."""
    overridden: set[str]
    """Names of ``inherited`` that the classes define themselves."""


def bases_of(module: str) -> Bases:
    """Import a module, and return the bases of its classes."""
    bases = Bases({module}, set(), set())
    package = module.partition(".")[0]
    for _, kind in inspect.getmembers(importlib.import_module(module), inspect.isclass):
        if kind.__module__ != module:
            continue
        for base in kind.__mro__:
            top = base.__module__.partition(".")[0]
            if top == package:
                bases.modules.add(base.__module__)
            elif top not in ("builtins", "abc", "typing", "enum"):
                # Of those above, each class gets the same by a metaclass or a decorator.
                names = set(filter(is_private, vars(base)))
                bases.inherited |= names
                bases.overridden |= names & set(vars(kind))
    return bases


def used_in(tree: ast.Module, package: str, bases: Bases, *, here: AbstractSet[str], own: AbstractSet[str]) -> set[str]:
    """Return the private names of other packages that a module uses.

    Args:
        tree: The module.
        package: Its own top-level package.
        bases: Of its classes.
        here: Names that the module defines.
        own: Those of the modules of its bases, too.
    """
    foreign = set(_foreign_modules(tree, package))
    untyped = {ignored.lineno for ignored in tree.type_ignores if "attr-defined" in ignored.tag}
    found = bases.overridden & here
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.update(_private_imports(node, package, untyped))
        elif isinstance(node, ast.Attribute) and is_private(node.attr):
            known = own if _is_self(node.value) else here
            is_foreign = isinstance(node.value, ast.Name) and node.value.id in foreign
            if is_foreign or node.attr in bases.inherited or node.attr not in known:
                found.update({node.attr} - DOCUMENTED if ast.unparse(node) not in DOCUMENTED else ())
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in BY_TEXT:
            found.update(
                str(name.value)
                for name in node.args[1:2]
                if isinstance(name, ast.Constant) and is_private(str(name.value)) and name.value not in here
            )
    return found


def _is_self(node: ast.expr) -> bool:
    return ast.unparse(node) in ("self", "cls", "super()")


def _foreign_modules(tree: ast.Module, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (
                alias.asname or alias.name.partition(".")[0]
                for alias in node.names
                if alias.name.partition(".")[0] != package
            )
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] != package:
            yield from (alias.asname or alias.name for alias in node.names)


def _private_imports(node: ast.Import | ast.ImportFrom, package: str, untyped: AbstractSet[int]) -> Iterator[str]:
    for alias in node.names:
        path = alias.name if isinstance(node, ast.Import) else f"{node.module}.{alias.name}"
        is_private_path = alias.lineno in untyped or any(map(is_private, path.split(".")))
        if is_private_path and path.partition(".")[0] != package:
            yield path


def _defined_in(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _is_self(node.value):
            yield node.attr
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def words_of(tree: ast.Module) -> set[str]:
    """Return the names that an entry may have: attributes, names, imports and texts of a module."""
    words: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            words.add(node.attr)
        elif isinstance(node, ast.Name):
            words.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            words.add(node.name)
        elif isinstance(node, ast.ImportFrom):
            words.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            words.update(alias.name for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            words.add(node.value)
    return words


def faults_of(distribution: Distribution) -> Iterator[str]:
    """Compare the names that a distribution uses with its list, and yield every difference as a sentence."""
    modules = dict(distribution.modules())
    defined = {name: set(_defined_in(tree)) for name, tree in modules.items()}
    for name, tree in modules.items():
        listed = set(distribution.listed.get(name, {}).get("names", ()))
        bases = bases_of(name)
        own: set[str] = set().union(*(defined[module] for module in bases.modules))
        used = used_in(tree, distribution.package, bases, here=defined[name], own=own)
        yield from (f"{name} uses {each}, which is private and not listed" for each in sorted(used - listed))
        unused = listed - words_of(tree) if listed else ()
        yield from (f"{name} no longer uses {each}: take it off the list" for each in sorted(unused))
    yield from (f"{name} is listed, and there is no such module" for name in distribution.listed.keys() - modules)


def main() -> int:
    """Print every name with its reason, then the differences, and return the exit status."""
    sys.path.insert(0, str(Path.cwd()))
    faults: list[str] = []
    for distribution in distributions():
        for module, entry in distribution.listed.items():
            print(f"{module}: {', '.join(entry['names'])} of {entry['of']}. {entry['reason']}")
        faults += faults_of(distribution)
    if faults:
        sys.stderr.write("\n".join([*faults, f"The list is [tool.starpost.{TABLE}] of pyproject.toml", ""]))
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
