"""Copier itself, over real git repositories: the same projects, and updates of them."""

import keyword
import sys
from pathlib import Path

import pytest
import yaml

from template.exporter import answers as questions
from template.exporter.answers import DEPENDENCIES, OWN_NAMES, Answers
from template.keep_changed import MANIFEST
from template.tests.conftest import Export
from template.tests.repositories import (
    ALSO_GONE,
    GONE,
    Programs,
    answers_in,
    append,
    checked_out,
    content_of,
    copied,
    generated,
    replace,
    two_versions,
    without_answers,
)

ROOT = Path.cwd()


@pytest.fixture(scope="module")
def repository(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return two_versions(programs, tmp_path_factory.mktemp("repositories") / "origin")


def test_it_copies_what_cookiecutter_writes(programs: Programs, repository: Path, tmp_path: Path) -> None:
    """From a relative path, which would not lead back from the project."""
    answers = ("project_name=Tom's Läden", "project_slug=toms", "module_name=shop")

    programs.copier(
        "copy",
        f"../{repository.parent.name}/{repository.name}",
        str(tmp_path / "copied"),
        *answers,
        cwd=repository.parent,
    )
    programs.cookiecutter(str(checked_out(programs, repository, "v0.2.0", tmp_path / "clone")), *answers, cwd=tmp_path)

    assert without_answers(content_of(tmp_path / "copied")) == without_answers(content_of(tmp_path / "toms"))
    found = answers_in(tmp_path / "copied")
    assert (found["_src_path"], found["_commit"]) == (str(repository), "v0.2.0")
    assert questions.checked(found) == Answers("Tom's Läden", "toms", "shop")


def test_a_dirty_checkout(programs: Programs, repository: Path, export: Export, tmp_path: Path) -> None:
    checkout = copied(tmp_path / "checkout")
    programs.commit(checkout)
    append(checkout / "app" / "pkg_ids.py", "\n# Not committed.\n")

    programs.copier("copy", str(checkout), str(tmp_path / "project"), cwd=tmp_path)

    project = without_answers(content_of(tmp_path / "project"))
    assert project.tree.pop("app/pkg_ids.py").endswith(b"# Not committed.\n")
    assert project.tree.items() <= export(Answers()).tree.items()


@pytest.mark.parametrize(
    "answer", ["module_name=class", "module_name=json", "module_name=starpost", "project_slug=My-Shop"]
)
def test_answers_that_are_refused(programs: Programs, repository: Path, tmp_path: Path, answer: str) -> None:
    said = programs.copier("copy", str(repository), str(tmp_path / "project"), answer, cwd=tmp_path, status=1)

    assert f"Validation error for question '{answer.partition('=')[0]}'" in said
    assert not (tmp_path / "project").exists()


def test_the_names_that_are_refused_are_those_of_the_exporter() -> None:
    validator = yaml.safe_load((ROOT / "copier.yml").read_text())["module_name"]["validator"]
    names = set(validator.partition('in "')[2].partition('"')[0].split())

    ours = {*keyword.kwlist, *keyword.softkwlist, *sys.stdlib_module_names, *OWN_NAMES, *DEPENDENCIES}
    assert names >= {name for name in ours if name.islower() and not name.startswith("_")}
    # Of other versions of Python, perhaps.
    assert all(questions.module_fault(name) for name in names & ours)


@pytest.mark.parametrize("door", ["cookiecutter", "copier"])
def test_an_update_keeps_local_edits_and_takes_the_rest(
    programs: Programs, repository: Path, tmp_path: Path, door: str
) -> None:
    project = generated(programs, repository, tmp_path / "my_project", door)
    wheel = project / "vendor" / "starpost-0.1.0-py3-none-any.whl"
    old_wheel, old_lock = wheel.read_bytes(), (project / "requirements" / "dev.lock").read_text()

    programs.copier("update", cwd=project)

    handlers = (project / "app" / "domains" / "authors" / "packets.py").read_text()
    assert '"""Add an author of mine."""' in handlers
    assert handlers.endswith("# A second version.\n")
    assert (project / "app" / "mine.py").is_file()
    readme = (project / "README.md").read_text()
    assert readme.startswith("# My own project\n")
    assert readme.endswith("Of the second version.\n")
    assert (project / GONE).read_text().endswith("# Mine.\n")
    assert not (project / ALSO_GONE).exists()
    assert (project / "scripts" / "added.py").is_file()
    assert '"""The whole application:' in (project / "app" / "asgi.py").read_text()
    assert wheel.read_bytes() != old_wheel
    assert (project / "requirements" / "dev.lock").read_text() != old_lock
    assert answers_in(project)["_commit"] == "v0.2.0"
    assert not [*project.rglob("*.rej")]
    assert "<<<<<<<" not in "".join(path.read_text() for path in project.rglob("*.py"))
    programs.run("sha256sum", "--check", "--quiet", MANIFEST, cwd=project, status=1)


def test_make_update_says_what_it_does_and_what_is_left_to_do(
    programs: Programs, repository: Path, tmp_path: Path
) -> None:
    """The command without its environment and the checks after it."""
    project = generated(programs, repository, tmp_path / "my_project", "cookiecutter")
    update = (programs.python, "-m", "scripts.update")
    replace(project / "app" / "asgi.py", '"""The application:', '"""My application:')
    said = programs.run(*update, cwd=project, status=1)
    assert said == "Commit or stash your changes first:\nM app/asgi.py\n"
    programs.commit(project)

    said = programs.run(*update, cwd=project, status=1)

    assert said.startswith(f"From v0.1.0 to the newest version of {tmp_path / 'clone'}, ")
    assert f"Kept {GONE}" in said
    assert said.endswith("Choose between the conflict markers, then run `make check test`:\napp/asgi.py\n")
    text = (project / "app" / "asgi.py").read_text()
    assert text.index('"""My application:') < text.index('"""The whole application:')
    assert answers_in(project)["_commit"] == "v0.2.0"
