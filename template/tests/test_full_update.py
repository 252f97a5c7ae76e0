"""A project with the defaults, local edits and a domain of its own, brought to the next version by ``make update``."""

from pathlib import Path

from template.tests.full import full, make
from template.tests.repositories import ALSO_GONE, GONE, Programs, answers_in, generated, replace, two_versions


@full
def test_a_project(programs: Programs, tmp_path: Path) -> None:
    repository = two_versions(programs, tmp_path / "repository")
    project = generated(programs, repository, tmp_path / "my_project", "cookiecutter")
    service = project / "app" / "domains" / "authors" / "service.py"
    replace(service, "class AuthorService:\n", "# Mine.\nclass AuthorService:\n")
    make(programs, project, "new-domain", "NAME=reviews", "FIELDS=title:line, rating:int")
    programs.commit(project)

    said = make(programs, project, "update")

    assert said.startswith("From v0.1.0 to the newest version of ")
    assert " good, 0 failed" in said
    assert " passed" in said
    assert " skipped" not in said
    assert answers_in(project)["_commit"] == "v0.2.0"
    assert "# Mine.\n" in service.read_text()
    assert (project / "app" / "mine.py").is_file()
    assert (project / "app" / "domains" / "reviews" / "service.py").is_file()
    assert (project / GONE).read_text().endswith("# Mine.\n")
    assert not (project / ALSO_GONE).exists()
    assert (project / "app" / "domains" / "authors" / "packets.py").read_text().endswith("# A second version.\n")
