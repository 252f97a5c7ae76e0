"""Reading an application's modules without importing them: numbers, paths, topics and tables that a domain declares."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from itertools import product
from typing import Final

METHODS: Final = ("get", "post", "put", "patch", "delete", "head", "route", "websocket")
"""Litestar's decorators of handlers."""

_CAPITALS: Final = re.compile(r"((?<=[a-z0-9])[A-Z]|(?!^)[A-Z](?=[a-z]))")
"""Places of the underscores in a table's name, as advanced-alchemy finds them."""


def calls_of(tree: ast.AST, *names: str) -> Iterator[ast.Call]:
    """Calls of functions with these names, whatever they are attributes of."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _last_name(node.func) in names:
            yield node


def strings_of(tree: ast.AST) -> set[str]:
    """Every text in the code."""
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def numbers_of(tree: ast.AST) -> set[str]:
    """Names of the packets' numbers that are used: ``X`` of each ``PkgID.X``."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "PkgID"
    }


def topics_of(tree: ast.AST) -> set[str]:
    """Names of the topics that are declared."""
    return {text for call in calls_of(tree, "Topic") for text in _texts(call, "name")}


def paths_of(trees: Iterable[ast.AST]) -> set[str]:
    """Paths of the routes that are declared, as the permission table writes them.

    A handler may be in any of the routers and controllers: each combination is named.
    """
    handlers, routers, controllers = set[str](), set[str](), set[str]()
    for tree in trees:
        for call in _decorators_of(tree):
            handlers |= set(_texts(call, "path")) or {""}
        for call in calls_of(tree, "Router"):
            routers |= set(_texts(call, "path"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                controllers |= {value for name, value in _assigned(node) if name == "path"}
    combinations = product(routers or {""}, {"", *controllers}, handlers)
    return {_path("/".join(parts)) for parts in combinations} - {"/"}


def _decorators_of(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for each in node.decorator_list:
                if isinstance(each, ast.Call) and _last_name(each.func) in METHODS:
                    yield each


def classes_of(tree: ast.AST) -> dict[str, str]:
    """Tables of the models by the names of their classes."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.bases:
            given = [value for name, value in _assigned(node) if name == "__tablename__"]
            found[node.name] = given[0] if given else table_of(node.name)
    return found


def table_of(name: str) -> str:
    """Name of a class's table."""
    return _CAPITALS.sub(r"_\1", name).lower()


def imports_of(tree: ast.AST) -> set[str]:
    """Modules that are imported; of ``from a import b`` both ``a`` and ``a.b``."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _texts(call: ast.Call, keyword: str) -> list[str]:
    """Texts of the first argument: one, or a list of them."""
    given = call.args[:1] + [each.value for each in call.keywords if each.arg == keyword]
    items = [item for each in given for item in (each.elts if isinstance(each, ast.List | ast.Tuple) else [each])]
    return [item.value for item in items if isinstance(item, ast.Constant) and isinstance(item.value, str)]


def _assigned(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for each in node.body:
        if isinstance(each, ast.Assign) and isinstance(each.value, ast.Constant):
            name, value = each.targets[0], each.value.value
            if isinstance(name, ast.Name) and isinstance(value, str):
                yield name.id, value


def _path(text: str) -> str:
    """Path in the form of the OpenAPI document: no types of parameters."""
    parts = [part for part in re.sub(r"\{(\w+):\w+\}", r"{\1}", text).split("/") if part]
    return "/" + "/".join(parts)
