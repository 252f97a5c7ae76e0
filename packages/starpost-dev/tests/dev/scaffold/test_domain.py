"""What `make new-domain` is asked for, and what it makes of it; nothing is run here but the formatter."""

import json
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from starpost_dev.scaffold import ScaffoldError
from starpost_dev.scaffold.columns import COLUMNS
from starpost_dev.scaffold.domain import MAX_NAME, NewDomain, check_role, parse_table, singular_of
from starpost_dev.scaffold.domain_plan import plan_domain
from starpost_dev.scaffold.removal import EXAMPLE, remove_domain
from tests.dev.applications import application, is_good, write_tree


def domain(**changes: str) -> NewDomain:
    given = {
        "name": "reviews",
        "singular": "review",
        "fields": "title:line:unique, rating:int",
        "reader": "review-reader",
        "editor": "review-editor",
        "admin": "admin",
    } | changes
    return NewDomain(
        name=given["name"],
        singular=given["singular"],
        fields=parse_table(given["fields"]),
        reader=given["reader"],
        editor=given["editor"],
        admin=given["admin"],
    )


def planned(tree: Mapping[str, bytes], folder: Path, **changes: str) -> dict[str, bytes]:
    """The tree with a domain."""
    write_tree(tree, folder)
    made = plan_domain(domain(**changes), folder, folder / "actions.json", "app")
    return {**tree, **{str(path.relative_to(folder)): text.encode() for path, text in made.contents.items()}}


@pytest.mark.parametrize(
    ("plural", "singular"),
    [
        ("reviews", "review"),
        ("book_reviews", "book_review"),
        ("categories", "category"),
        ("addresses", "address"),
        ("boxes", "box"),
        ("branches", "branch"),
        ("houses", "house"),
        ("sizes", "size"),
        ("toys", "toy"),
    ],
)
def test_one_of_them(plural: str, singular: str) -> None:
    assert singular_of(plural) == singular


@pytest.mark.parametrize("plural", ["people", "glass", "status", "analysis", "s", "is"])
def test_plurals_without_a_rule(plural: str) -> None:
    with pytest.raises(ScaffoldError, match="SINGULAR="):
        singular_of(plural)


def test_fields() -> None:
    title, note = parse_table(" title : line : unique , note:text? ,")
    assert (title.name, title.kind, title.is_unique, title.is_optional) == ("title", COLUMNS["line"], True, False)
    assert (note.name, note.stored, note.sent, note.is_optional) == (
        "note",
        "str | None",
        "LongText | None = None",
        True,
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "Reviews"}, "no domain's name"),
        ({"name": "../x"}, "no domain's name"),
        ({"name": "import"}, "a word of Python"),
        ({"name": "settings", "singular": "setting"}, "what handlers get from the framework"),
        ({"name": "r" * (MAX_NAME + 1)}, "too long"),
        ({"singular": "reviews"}, "need different names"),
        ({"singular": "a review"}, "no name of one row"),
        ({"name": "pages", "singular": "page"}, "its class would be called Page"),
        ({"name": "statements_", "singular": "statement"}, "no domain's name"),
        ({"fields": ""}, "at least one field"),
        ({"fields": "note:text?"}, "at least one field that must be given"),
        ({"fields": "title"}, "'title' is no field"),
        ({"fields": "title:line:other"}, "no field"),
        ({"fields": "title:word"}, "there is no type 'word'; there are: line, text, int"),
        ({"fields": "title:line, title:int"}, "named twice"),
        ({"fields": "id:int"}, "cannot be called 'id'"),
        ({"fields": "class:line"}, "cannot be called 'class'"),
        ({"fields": "review:line"}, "a field of reviews cannot be called 'review'"),
        ({"fields": "is_good:bool:unique"}, "a bool cannot tell rows apart"),
        ({"fields": 'x:line"); import os#'}, "no field"),
        ({"reader": "public"}, "'public' is no role"),
        ({"editor": "a role"}, "no role"),
        ({"admin": '"'}, "no role"),
    ],
)
def test_what_cannot_be(changes: dict[str, str], said: str) -> None:
    with pytest.raises(ScaffoldError, match=said.replace("(", r"\(")):
        domain(**changes)


@given(st.text(), st.text(), st.text())
def test_any_text_is_taken_or_refused(name: str, fields: str, role: str) -> None:
    for parse in (partial(singular_of, name), partial(parse_table, fields), partial(check_role, role)):
        with suppress(ScaffoldError):
            parse()
    with suppress(ScaffoldError):
        domain(name=name, fields=fields, reader=role)


@pytest.mark.parametrize(
    ("changes", "there", "said"),
    [
        ({"name": EXAMPLE, "singular": "author"}, {}, "app/domains/authors is already there"),
        ({}, {"tests/domains/reviews/__init__.py": b""}, "tests/domains/reviews is already there"),
        ({"name": "writers", "singular": "author"}, {}, "the name CREATE_AUTHOR is taken: it is number 2"),
        ({"name": "shelves", "singular": "book"}, {}, "the name CREATE_BOOK is taken"),
        ({}, {"tests/contract/pkg_ids.json": b'{"REVIEW_EVENT": 900}'}, "the name REVIEW_EVENT is taken"),
        (
            {},
            {"migrations/versions/0002.py": b"revision, down_revision = '0002', '0001'"},
            None,
        ),
        (
            {},
            {
                "migrations/versions/0002.py": (
                    b"revision = '0002'\ndown_revision = None\ndef upgrade(): ...\ndef downgrade(): ...\n"
                )
            },
            "the migrations have 2 ends",
        ),
        (
            {},
            {
                "migrations/versions/0002.py": (
                    b"revision = '0002'\ndown_revision = '0001'\n"
                    b"def upgrade():\n    op.drop_table('review')\ndef downgrade(): ...\n"
                )
            },
            "has to do with a table 'review' already",
        ),
    ],
)
def test_what_is_taken(tmp_path: Path, changes: dict[str, str], there: dict[str, bytes], said: str | None) -> None:
    tree = {**application(), **there}
    if said is None:
        assert planned(tree, tmp_path, **changes).keys() > tree.keys()
        return
    with pytest.raises(ScaffoldError, match=said):
        planned(tree, tmp_path, **changes)


def test_rules_numbers_and_roles_keep_the_form_of_the_files(tmp_path: Path) -> None:
    tree = planned(application(), tmp_path)
    table = tree["actions.json"].decode()
    assert '"review-reader", "review-editor"],\n' in table
    assert '  "http": {\n    "/reviews": {"GET": "review-reader", "POST": "review-editor"},\n' in table
    assert '    "13": "admin"\n  },\n' in table
    assert '"reviews": "review-reader"}' in table
    assert json.loads(tree["tests/contract/pkg_ids.json"])["REVIEW_EVENT"] == 14
    assert "    REVIEW_EVENT = 14\n" in tree["app/pkg_ids.py"].decode()
    realm = json.loads(tree["docker/keycloak/realm.json"])
    assert {"review-reader", "review-editor"} <= {role["name"] for role in realm["roles"]["realm"]}
    carol = next(user for user in realm["users"] if user["username"] == "carol")
    assert "review-editor" in carol["realmRoles"]


def test_removing_it_again_leaves_nothing(tmp_path: Path) -> None:
    before = application()
    names = {"name": "gadgets", "singular": "gadget", "reader": "gadget-reader", "editor": "gadget-editor"}
    after = remove_domain(planned(before, tmp_path, **names), "gadgets")
    assert after.left == []
    assert after.tree == before


def test_roles_that_are_there(tmp_path: Path) -> None:
    roles = {"reader": "author-reader", "editor": "author-editor", "admin": "author-editor"}
    tree = planned(application(), tmp_path, **roles)
    assert tree["docker/keycloak/realm.json"] == application()["docker/keycloak/realm.json"]
    table = json.loads(tree["actions.json"])
    assert table["roles"] == json.loads(application()["actions.json"])["roles"]
    assert table["http"]["/reviews/{review_id}"] == {
        "GET": "author-reader",
        "PUT": "author-editor",
        "DELETE": "author-editor",
    }


def test_the_longest_names_fit_the_lines(tmp_path: Path) -> None:
    fields = ", ".join(
        f"{word}{'_x' * 30}"[:MAX_NAME].rstrip("_") + f":{word}?:unique" for word in ("line", "int", "uuid")
    )
    name = ("a_very_long_name" * 2)[: MAX_NAME - 1].rstrip("_")
    tree = planned(application(), tmp_path, name=f"{name}s", singular=name, fields=f"{fields}, title:line")
    write_tree(tree, tmp_path)
    for command in (("ruff", "check", "app", "tests", "migrations"), ("ruff", "format", "--check", ".")):
        is_good(tmp_path, *command)
