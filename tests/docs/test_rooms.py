"""The examples that open a room, in the docstring of its package, work."""

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
import textwrap

import pytest

import starpost
import starpost_dev

ROOMS = [
    module.name
    for package in (starpost, starpost_dev)
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
    if module.ispkg
]


def sketches(text: str) -> list[str]:
    """Indented blocks after ``::``, which show code that needs servers and is not run."""
    return [textwrap.dedent(block) for block in re.findall(r"::\n\n((?:(?: {4}.*)?\n)+)", f"{text}\n")]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_opens_with_a_page(room: str) -> None:
    page = inspect.getdoc(importlib.import_module(room)) or ""
    assert len(page.splitlines()) > 3, "say what the room is for, and show how it is used"


@pytest.mark.parametrize("room", ROOMS)
def test_the_examples_of_a_room_work(room: str) -> None:
    outcome = doctest.testmod(importlib.import_module(room))
    assert not outcome.failed


@pytest.mark.parametrize("room", ROOMS)
def test_the_names_in_a_sketch_exist(room: str) -> None:
    for sketch in sketches(inspect.getdoc(importlib.import_module(room)) or ""):
        tree = compile(sketch, room, "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(str(node.module))
                for alias in node.names:
                    if not hasattr(module, alias.name):
                        importlib.import_module(f"{node.module}.{alias.name}")
