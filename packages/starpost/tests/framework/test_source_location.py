"""Where something is declared, as messages say it."""

import functools
import inspect
import sys
from enum import IntEnum
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import litestar
import pytest

from starpost import BackgroundTask, PackageRouter, Topic
from starpost.source_location import location_of, location_of_caller, location_of_number

HERE = Path(__file__).relative_to(Path.cwd())


class Number(IntEnum):
    FIRST = 1
    SECOND = 2
    AGAIN = 2


class Declared:
    def __init__(self) -> None:
        self.location = location_of_caller()


def decorated(function: object) -> object:
    @functools.wraps(function)  # type: ignore[arg-type]
    def wrapper() -> None: ...

    return wrapper


async def run() -> None: ...


def line_of(text: str) -> int:
    """The only line of this file that ends so."""
    (number,) = [
        number for number, line in enumerate(Path(__file__).read_text().splitlines(), 1) if line.endswith(text)
    ]
    return number


def module_at(path: Path, source: str) -> ModuleType:
    """Import a file from anywhere."""
    path.parent.mkdir(parents=True)
    path.write_text(source)
    spec = spec_from_file_location("elsewhere", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_object_knows_the_line_that_makes_it() -> None:
    assert Declared().location == f"{HERE}:{line_of('# made here')}"  # made here


def test_each_declaration_has_its_line() -> None:
    topic = Topic("words", event=str, pkg_id=1)  # a topic
    task = BackgroundTask(run, every=1)  # a task
    router = PackageRouter()
    router.register(1)(run)
    assert topic.location == f"{HERE}:{line_of('# a topic')}"
    assert task.location == f"{HERE}:{line_of('# a task')}"
    assert router.declarations[0].location == f"{HERE}:{inspect.getsourcelines(run)[1]}"


def test_a_decorated_function_is_where_it_is_written() -> None:
    assert location_of(decorated(run)) == location_of(run) == f"{HERE}:{inspect.getsourcelines(run)[1]}"


def test_without_source_there_is_a_name() -> None:
    assert location_of(len) == "builtins.len"
    assert location_of("".join) == "str.join"
    assert location_of(functools.partial(run)) == "functools.partial"


def test_a_number_is_on_its_own_line() -> None:
    first = inspect.getsourcelines(Number)[1]
    assert location_of_number(Number.FIRST) == f"{HERE}:{first + 1}"
    assert location_of_number(Number.SECOND) == f"{HERE}:{first + 2}"
    assert location_of_number(Number.SECOND, "AGAIN") == f"{HERE}:{first + 3}"


def test_a_number_without_source_has_the_name_of_its_enumeration() -> None:
    made = IntEnum("made", {"ONE": 1}, module="nowhere")
    assert location_of_number(made["ONE"]) == "nowhere.made"


def test_what_is_installed_is_named_by_its_module() -> None:
    assert location_of(litestar.Litestar.__init__) == (
        f"litestar.app:{inspect.getsourcelines(litestar.Litestar.__init__)[1]}"
    )
    assert "site-packages" in str(inspect.getfile(litestar)), "or the line above shows nothing"


def test_no_path_of_the_machine_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = module_at(
        tmp_path / "deep" / "elsewhere.py",
        "from enum import IntEnum\n"
        "from starpost import Topic\n"
        "TOPIC = Topic('a', event=str, pkg_id=1)\n"
        "def f(): ...\n"
        "class N(IntEnum):\n"
        "    ONE = 1\n",
    )
    monkeypatch.setitem(sys.modules, "elsewhere", module)
    assert module.TOPIC.location == "elsewhere:3"
    assert location_of(module.f) == "elsewhere:4"
    assert location_of_number(module.N.ONE) == "elsewhere:6"
    monkeypatch.chdir(tmp_path)
    assert location_of(module.f) == "deep/elsewhere.py:4"
