"""Cookiecutter itself, over real git repositories: what it writes is what the function returns."""

import shutil
import socket
from pathlib import Path

import pytest

from template.exporter import answers as questions
from template.exporter.answers import Answers
from template.tests.conftest import Export
from template.tests.repositories import Programs, answers_in, content_of, copied, without_answers


@pytest.fixture(scope="module")
def repository(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copied(tmp_path_factory.mktemp("repositories") / "origin")
    programs.commit(folder, "v0.1.0")
    return folder


@pytest.mark.parametrize("way", ["absolute", "relative", "here", "git"])
def test_every_way_to_name_the_repository(
    programs: Programs, repository: Path, export: Export, tmp_path: Path, way: str
) -> None:
    cwd, template = {
        "absolute": (tmp_path, str(repository)),
        "relative": (repository.parent, f"../{repository.parent.name}/{repository.name}"),
        "here": (shutil.copytree(repository, tmp_path / "origin"), "."),
        "git": (tmp_path, f"git+file://{repository}"),
    }[way]

    programs.cookiecutter(template, "project_name=My project", cwd=cwd)

    project = cwd / "my_project"
    assert without_answers(content_of(project)) == export(Answers())
    address = str(tmp_path / "origin" if way == "here" else repository)
    assert answers_in(project) == {
        "_commit": "v0.1.0",
        "_src_path": address,
        "project_name": "My project",
        "project_slug": "my_project",
        "module_name": "app",
        "keep_example": True,
    }
    shutil.rmtree(project)


def test_the_slug_is_derived(programs: Programs, repository: Path, tmp_path: Path) -> None:
    said = programs.cookiecutter(str(repository), "project_name=Tom's Läden & Söhne", "module_name=shop", cwd=tmp_path)

    assert said == "Next: cd tom_s_laden_sohne && git init && make serve\n"
    answers = questions.checked(answers_in(tmp_path / "tom_s_laden_sohne"))
    assert answers == Answers("Tom's Läden & Söhne", "tom_s_laden_sohne", "shop")


def test_again_over_itself_changes_nothing(programs: Programs, repository: Path, tmp_path: Path) -> None:
    programs.cookiecutter(str(repository), cwd=tmp_path)
    project = tmp_path / "my_project"
    before = content_of(project)
    times = {path: path.stat().st_mtime_ns for path in project.rglob("*") if path.is_file()}
    (project / "mine.txt").write_text("mine")

    programs.cookiecutter(str(repository), cwd=tmp_path)

    after = content_of(project)
    assert after.tree.pop("mine.txt") == b"mine"
    assert after == before
    written = {path.name for path in project.rglob("*") if path in times and path.stat().st_mtime_ns != times[path]}
    assert written <= {questions.FILE}


def test_a_dirty_checkout_with_sockets_and_rubbish(programs: Programs, repository: Path, tmp_path: Path) -> None:
    """As during `make serve`: its state has sockets, and nothing of it is a project's."""
    checkout = shutil.copytree(repository, tmp_path / "checkout")
    (checkout / "app" / "pkg_ids.py").write_text('"""Changed."""\n')
    (checkout / "scripts" / "seed.py").unlink()
    (checkout / "notes.txt").write_text("mine")
    (checkout / ".dev").mkdir()
    (checkout / ".env").write_text("DB_PASSWORD=secret\n")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as untracked:
        listener.bind(str(checkout / ".dev" / "s"))
        untracked.bind(str(checkout / "s"))

        programs.cookiecutter("checkout", cwd=tmp_path)

    project = tmp_path / "my_project"
    assert (project / "app" / "pkg_ids.py").read_text() == '"""Changed."""\n'
    for name in ("scripts/seed.py", "notes.txt", ".dev", ".env", "s"):
        assert not (project / name).exists()
    assert answers_in(project)["_commit"] == "v0.1.0"


def test_a_folder_without_git(programs: Programs, export: Export, tmp_path: Path) -> None:
    """As an archive is unpacked: what `.gitignore` names is left out, and so is what was generated before."""
    folder = copied(tmp_path / "unpacked")
    for name in (".venv/x.py", "app/__pycache__/x.pyc", ".env"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("rubbish")

    for _ in range(2):
        programs.cookiecutter(".", cwd=folder)

    project = folder / "my_project"
    assert without_answers(content_of(project)) == export(Answers())
    assert answers_in(project)["_src_path"] == str(folder)
    assert "_commit" not in answers_in(project)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("module_name=class", "module_name 'class' is a keyword of Python"),
        ("module_name=json", "module_name 'json' is a module of Python's standard library"),
        ("module_name=starpost", "module_name 'starpost' is a name that the project has already"),
        ("project_slug=My-Shop", "project_slug 'My-Shop'"),
        ('project_name=A "shop"', "project_name"),
    ],
)
def test_answers_that_are_refused(
    programs: Programs, repository: Path, tmp_path: Path, answer: str, reason: str
) -> None:
    said = programs.cookiecutter(str(repository), "project_slug=shop", answer, cwd=tmp_path, status=1)

    assert said.startswith(reason)
    assert "Traceback" not in said
    assert not [*tmp_path.iterdir()]


def test_a_fault_of_the_exporter_leaves_nothing(programs: Programs, repository: Path, tmp_path: Path) -> None:
    checkout = shutil.copytree(repository, tmp_path / "checkout")
    (checkout / "docker" / "compose.yml").write_text("services: {}\n")

    said = programs.cookiecutter("checkout", cwd=tmp_path, status=1)

    assert "docker/compose.yml" in said
    assert not (tmp_path / "my_project").exists()
