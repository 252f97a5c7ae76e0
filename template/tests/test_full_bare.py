"""A project without the example, with a module that is called ``src``; then with a domain of its own."""

from pathlib import Path

from template.tests.full import full, hold_to_its_checks_and_tests, make
from template.tests.repositories import Programs, copied


@full
def test_a_project(programs: Programs, tmp_path: Path) -> None:
    checkout = copied(tmp_path / "checkout")
    programs.commit(checkout, "v0.1.0")
    programs.copier(
        "copy", "checkout", "shop", "project_name=Shop", "project_slug=shop", "module_name=src", "keep_example=no",
        cwd=tmp_path,
    )  # fmt: skip
    project = tmp_path / "shop"
    assert not [*(project / "src" / "domains").glob("*/")]
    hold_to_its_checks_and_tests(programs, project)

    make(programs, project, "new-domain", "NAME=reviews", "FIELDS=title:line, rating:int")

    assert (project / "src" / "domains" / "reviews" / "service.py").is_file()
    hold_to_its_checks_and_tests(programs, project)
