"""What may be answered, and what is refused in words."""

import keyword
import sys
from pathlib import Path

import pytest

from template.exporter import answers as questions
from template.exporter.answers import Answers, AnswersError
from template.exporter.selection import NOT_EXPORTED

ROOT = Path.cwd()


@pytest.mark.parametrize("module", ["app", "src", "shop", "a", "m" * 24, "shop_2"])
def test_modules(module: str) -> None:
    assert Answers(module_name=module).module_name == module


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ("class", "keyword"),
        ("match", "keyword"),
        ("json", "standard library"),
        ("test", "already"),
        ("starpost", "already"),
        ("tests", "already"),
        ("scripts", "already"),
        ("template", "already"),
        ("litestar", "package that the project uses"),
        ("Shop", "lower-case"),
        ("1shop", "lower-case"),
        ("my-shop", "lower-case"),
        ("shop.api", "lower-case"),
        ("../shop", "lower-case"),
        ("", "lower-case"),
        ("shop\n", "lower-case"),
        ("größe", "lower-case"),
    ],
)
def test_modules_that_are_refused(module: str, reason: str) -> None:
    with pytest.raises(AnswersError, match=reason):
        Answers(module_name=module)


def test_no_module_hides_what_is_at_the_top_of_the_repository() -> None:
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith((".", "{"))}
    folders |= {Path(name).name for name in NOT_EXPORTED if "." not in name and "/" not in name and "{" not in name}
    for name in folders - {"app", "dist", "build"}:
        assert questions.module_fault(name), name


@pytest.mark.parametrize("name", sorted({*keyword.kwlist, *sys.stdlib_module_names} - {"_"}))
def test_pythons_own_names_are_refused(name: str) -> None:
    assert questions.module_fault(name)


@pytest.mark.parametrize("slug", ["", "Shop", "my-shop", "_shop", "shop_", "1", "s" * 41, "a b", "x; rm"])
def test_slugs_that_are_refused(slug: str) -> None:
    with pytest.raises(AnswersError, match="project_slug"):
        Answers(project_slug=slug)


@pytest.mark.parametrize("name", ["", " Shop", 'A "shop"', "A\nshop", "{{ 7 * 7 }}", "a\\b", "`ls`", "n" * 61, "<b>"])
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(AnswersError, match="project_name"):
        Answers(project_name=name)


def test_the_answers_file_is_read_as_it_is_written() -> None:
    answers = Answers("Tom's Läden: 1 # 2", "toms", "shop", keep_example=False)

    found = questions.parse(questions.render(answers, "v1.2.0", "/somewhere"))

    assert questions.checked(found) == answers
    assert (found["_commit"], found["_src_path"]) == ("v1.2.0", "/somewhere")


@pytest.mark.parametrize("line", ["keep_example: maybe", "just text", "project_name:"])
def test_an_answers_file_of_another_form_is_refused(line: str) -> None:
    with pytest.raises(AnswersError, match="not an answer"):
        questions.parse(f'module_name: "app"\n{line}\n')


def test_an_answer_of_another_type_is_refused() -> None:
    found = questions.parse(questions.render(Answers(), None, "/somewhere")) | {"keep_example": "yes"}

    with pytest.raises(AnswersError, match="keep_example"):
        questions.checked(found)
