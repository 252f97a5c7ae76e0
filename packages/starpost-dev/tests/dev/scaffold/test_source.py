import json
from pathlib import Path

import pytest

from starpost_dev.scaffold import ScaffoldError
from starpost_dev.scaffold.source import add_number, add_rule, add_to_module, names_of, router_of, tidy
from tests.specimen import ACTIONS_FILE, pkg_ids

MODULE = '''"""What it is.

More.
"""

import os  # a comment
from a import (
    b,
    c as d,
)

X: int = 1


@decorated
def f(): ...


router = PackageRouter()
'''


def test_names() -> None:
    assert names_of(MODULE) == {"os", "b", "d", "X", "f", "router"}
    assert router_of(MODULE) == "router"
    assert router_of("x = 1") is None


def test_adding_leaves_everything_else_as_it_was() -> None:
    text = add_to_module(MODULE, ["import new"], "def g(): ...\n")
    before, inserted, after = text.partition("import new\n")
    assert inserted
    assert before + after == MODULE + "\n\ndef g(): ...\n"
    assert before.endswith("    c as d,\n)\n")
    assert add_to_module('"""Doc."""\n', ["import new"], "x = 1").startswith('"""Doc."""\nimport new\n')


def test_imports_of_one_module_become_one() -> None:
    path = Path("app/x.py")
    text = "from app.b import z\nimport os\nfrom app.b import a\nfrom msgspec import Struct\n\n\nx = 1\n"
    assert tidy({path: text}, Path.cwd()) == {
        path: "import os\n\nfrom msgspec import Struct\n\nfrom app.b import a, z\n\nx = 1\n"
    }


def test_what_is_no_python_is_refused() -> None:
    with pytest.raises(ScaffoldError, match=r"(?s)cannot be formatted.*app/x\.py"):
        tidy({Path("app/x.py"): "def"}, Path.cwd())


def test_numbers() -> None:
    text = Path(pkg_ids.__file__).read_text()
    edited = add_number(text, "NEW", 900)
    assert edited.splitlines()[:-1] == text.splitlines()
    assert edited.endswith("    NEW = 900\n")
    with pytest.raises(ScaffoldError, match="no class PkgID"):
        add_number("x = 1", "NEW", 900)


@pytest.mark.parametrize(
    "text",
    [
        ACTIONS_FILE.read_text(),
        '{"roles": ["ws"], "ws": {}, "http": {"/ws": {"GET": "ws"}}}',
        '{"http": {"/a": {"GET": "x"}}, "ws":\n{"1": {"any": ["}"]}\n}\n}',
        '\n{ "ws" : {"1":"a","2":["}","\\"{"]} }',
    ],
)
def test_rules(text: str) -> None:
    for rule in ["role", ["a", "b"], {"any": ["a"]}]:
        edited = add_rule(text, 900, rule)
        table = json.loads(text)
        assert json.loads(edited) == table | {"ws": table["ws"] | {"900": rule}}
        assert edited.startswith(text[: text.index("ws")])


def test_a_table_without_packets_is_refused() -> None:
    with pytest.raises(ScaffoldError, match="no 'ws'"):
        add_rule('{"roles": []}', 1, "a")


def test_a_rule_that_is_there_is_refused() -> None:
    """JSON would take the second of two in silence."""
    with pytest.raises(ScaffoldError):
        add_rule('{"ws": {"1": "a"}}', 1, "b")
