"""A domain is taken out of the application: what is left works, and names nothing of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from starpost_dev.scaffold import ScaffoldError, removal
from starpost_dev.scaffold.removal import EXAMPLE, remove_domain
from tests.dev.applications import application, is_good, write_tree

pytestmark = pytest.mark.skipif(not Path("app/domains/authors").is_dir(), reason="the example is removed already")

LATER = b'''"""Add reviews."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Apply it."""
    op.create_table("review", sa.Column("id", sa.BigInteger(), nullable=False))


def downgrade() -> None:
    """Undo it."""
    op.drop_table("review")
'''


def test_what_is_left_works_and_names_nothing_of_it(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    made = remove_domain(application(), EXAMPLE)
    assert made.left == []
    words = ("author", "book")
    for path, content in made.tree.items():
        text = content.decode().lower().replace("authoriz", "")
        assert not [word for word in words if word in text], path
    assert [revision.name for revision in made.undone] == ["0001"]

    write_tree(made.tree, tmp_path)
    known = pytestconfig.cache.mkdir("mypy")
    for command in (
        ("ruff", "check", "."),
        ("ruff", "format", "--check", "."),
        # Kept between runs, so that mypy looks only at what is new.
        ("mypy", "--no-warn-unused-configs", f"--cache-dir={known}", "app", "scripts", "tests"),
        ("starpost_dev.checks.docstrings", "app", "scripts"),
        ("starpost_dev.checks.dependencies",),
        ("scripts.check_actions",),
        # In a server of its own: every user is answered a PING, the migrations are run, and there are none.
        ("pytest", "-q", "-p", "no:cacheprovider", "tests"),
    ):
        is_good(tmp_path, *command)


def test_a_bare_python_does_it() -> None:
    """Without the packages that the project depends on, and with another name of the module."""
    code = f"""
import sys
sys.path.insert(0, {str(Path(removal.__file__).parents[2])!r})
from starpost_dev.scaffold.removal import remove_domain
table = b'{{"roles": [], "ws": {{}}, "http": {{}}, "topics": {{}}}}'
tree = {{"shop/domains/a/__init__.py": b"", "actions.json": table}}
print(sorted(remove_domain(tree, "a", "shop").tree))
"""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], env=os.environ, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("['actions.json']\n", "")


@pytest.mark.parametrize("keep", [True, False])
def test_migrations_that_others_come_after_stay_and_the_tables_are_dropped(keep: bool) -> None:
    later = {} if keep else {"migrations/versions/0002_add_reviews.py": LATER}
    made = remove_domain({**application(), **later}, EXAMPLE, keep_migrations=keep)
    assert made.undone == []
    name = "0002" if keep else "0003"
    assert made.dropping == f"migrations/versions/{name}_drop_{EXAMPLE}.py"
    assert "migrations/versions/0001_add_authors_and_books.py" in made.tree
    text = made.tree[made.dropping].decode()
    assert f'down_revision = "{"0001" if keep else "0002"}"' in text
    upgrade, downgrade = text.split("def upgrade")[1].split("def downgrade")
    assert upgrade.index('op.drop_table("book")') < upgrade.index('op.drop_table("author")')
    assert 'op.create_table(\n        "author"' in downgrade
    assert "review" not in text


def test_a_migration_of_several_domains_is_left_to_its_owner() -> None:
    both = LATER.replace(b'op.drop_table("review")', b'op.drop_column("author", "stars")')
    made = remove_domain({**application(), "migrations/versions/0002_x.py": both}, EXAMPLE)
    assert (made.undone, made.dropping) == ([], None)
    assert any("make migration" in said for said in made.said)


def test_numbers_rules_and_roles_that_others_use_stay() -> None:
    tree = dict(application())
    tree["app/domains/reviews/__init__.py"] = b""
    tree["app/domains/reviews/packets.py"] = (
        b"from app.pkg_ids import PkgID\n@pkg_router.register(PkgID.GET_BOOKS)\nasync def get_books(): ...\n"
    )
    made = remove_domain(tree, EXAMPLE)
    assert b"    GET_BOOKS = 6" in made.tree["app/pkg_ids.py"]
    assert b'"ws": {\n    "6": "author-reader"\n  }' in made.tree["actions.json"]
    assert b'"roles": ["author-reader", "admin"]' in made.tree["actions.json"]
    assert b"author-editor" not in made.tree["docker/keycloak/realm.json"]
    assert b'"author-reader"' in made.tree["docker/keycloak/realm.json"]
    assert made.tree["tests/contract/pkg_ids.json"] == b'{\n  "GET_BOOKS": 6\n}\n'


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("app/asgi.py", "from app.domains.authors.models import Author", "app/asgi.py imports app.domains.authors"),
        ("app/x.py", "from app.domains import authors", "app/x.py imports app.domains.authors"),
        (
            "app/domains/reviews/models.py",
            "class Review(BaseModel):\n    author_id = mapped_column(ForeignKey('author.id'))",
            "app/domains/reviews/models.py refers to author.id",
        ),
        ("app/domains/reviews/models.py", "class", "app/domains/reviews/models.py cannot be read"),
    ],
)
def test_a_domain_that_is_needed_stays(path: str, text: str, said: str) -> None:
    with pytest.raises(ScaffoldError, match=said):
        remove_domain({**application(), path: text.encode()}, EXAMPLE)


def test_a_domain_that_is_not_there() -> None:
    with pytest.raises(ScaffoldError, match="there is no domain 'nothing' in app/domains"):
        remove_domain(application(), "nothing")


def test_pages_and_parts_of_pages_about_it_go() -> None:
    tree = {
        **application(),
        "docs/guide/example.md": b"# The example\n",
        "docs/guide/index.md": b"- [The example](example.md)\n- [A domain](add-a-domain.md)\n\n[Authors](example.md)\n",
        "README.md": (
            b"One\n<!-- domain authors -->\nTwo\n<!-- end of domain authors -->\n3\n- [x](docs/guide/example.md#a)\n"
        ),
    }
    made = remove_domain(tree, EXAMPLE)
    assert "docs/guide/example.md" not in made.tree
    assert made.tree["docs/guide/index.md"] == b"- [A domain](add-a-domain.md)\n\n[Authors](example.md)\n"
    assert made.tree["README.md"] == b"One\n3\n"


def test_a_project_is_as_if_it_had_been_generated_without_the_example() -> None:
    tree = {
        **application(),
        "docs/example.md": b"# The example\n",
        "docs/README.md": b"- [The example](example.md)\n",
        "vendor/docs/topics.md": b"Of authors.\n",
        ".copier-answers.yml": b'module_name: "app"\nkeep_example: true\n',
    }
    made = remove_domain(tree, EXAMPLE)
    assert "docs/example.md" not in made.tree
    assert made.tree["docs/README.md"] == b""
    assert made.tree["vendor/docs/topics.md"] == tree["vendor/docs/topics.md"]
    assert made.tree[".copier-answers.yml"] == b'module_name: "app"\nkeep_example: false\n'
    assert made.left == []
