"""``make remove-example`` as a process, in a repository of its own, with its development database."""

import subprocess
from pathlib import Path

import pytest

from starpost_dev.services.state import checkout_state
from tests.dev.applications import GIT, application, commit, run, write_tree

pytestmark = pytest.mark.skipif(not Path("app/domains/authors").is_dir(), reason="the example is removed already")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    write_tree(application(), tmp_path)
    commit(tmp_path)
    return tmp_path


def refused(checkout: Path, *options: str) -> str:
    """What a refusal says; the checkout is as it was."""
    before = status(checkout)
    done = run(checkout, "scripts.remove_example", *options)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    assert status(checkout) == before
    return done.stderr


def status(checkout: Path) -> str:
    done = subprocess.run([GIT, "status", "--porcelain"], cwd=checkout, capture_output=True, text=True, check=True)
    return done.stdout


def succeeds(checkout: Path, *command: str) -> str:
    done = run(checkout, *command)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_development_database_is_brought_back_before_the_migration_goes(checkout: Path) -> None:
    succeeds(checkout, "scripts.migrate")

    said = succeeds(checkout, "scripts.remove_example")

    assert "brought the development database back to base" in said
    assert "still names" not in said
    assert not (checkout / "app/domains/authors").exists()
    assert not (checkout / "tests/domains/authors").exists()
    # The database knows no revision whose file is gone.
    succeeds(checkout, "scripts.migrate")
    succeeds(checkout, "scripts.seed")


def test_the_tables_are_dropped_by_a_migration_where_installations_have_them(checkout: Path) -> None:
    succeeds(checkout, "scripts.migrate")

    said = succeeds(checkout, "scripts.remove_example", "--keep-migrations")

    assert "to drop the tables: make migrate" in said
    written = status(checkout)
    assert "?? migrations/versions/0002_drop_authors.py" in written
    succeeds(checkout, "scripts.migrate")
    succeeds(checkout, "scripts.migrate", "check")
    succeeds(checkout, "scripts.migrate", "downgrade", "0001")
    assert run(checkout, "scripts.migrate", "check").returncode == 1, "the tables are back"
    succeeds(checkout, "ruff", "format", "--check", "migrations")
    succeeds(checkout, "ruff", "check", "migrations")


def test_a_database_of_ones_own_and_files_beside_are_left_alone(checkout: Path) -> None:
    (checkout / ".env").write_text("DB_HOST=db.invalid\n")
    (checkout / "bench").mkdir()
    (checkout / "bench/page.py").write_text("from app.domains.authors.models import Author\n")
    (checkout / "bench/packet.py").write_text("PkgID.GET_AUTHORS\n")
    (checkout / "bench/other.py").write_text("PkgID.GET_OTHERS\n")
    commit(checkout)

    said = succeeds(checkout, "scripts.remove_example")

    assert "the database is your own (db.invalid)" in said
    assert "make migrate REVISION=base" in said
    assert "use authors, left as they are:\n  bench/packet.py\n  bench/page.py\n" in said
    assert "bench/other.py" not in said
    assert (checkout / "bench/page.py").read_text().startswith("from app.domains.authors")


def test_nothing_is_done_with_uncommitted_changes(checkout: Path) -> None:
    (checkout / "mine.txt").write_text("mine")
    assert "FORCE=1" in refused(checkout)
    succeeds(checkout, "scripts.remove_example", "--force")
    assert (checkout / "mine.txt").read_text() == "mine"
    assert not (checkout_state(checkout).path / "postgres").exists(), "no database was made for it"


def test_nothing_is_done_when_the_application_would_not_start(checkout: Path) -> None:
    file = checkout / "app/asgi.py"
    file.write_text(file.read_text() + '\n__import__("app.domains." + "authors")\n')
    commit(checkout)
    done = run(checkout, "scripts.remove_example")
    assert (done.returncode, done.stdout) == (1, "")
    assert "would not start without it" in done.stderr
    assert status(checkout) == ""


def test_a_domain_that_is_not_there(checkout: Path) -> None:
    assert "there is no domain '../app'" in refused(checkout, "--domain", "../app")


def test_without_git_nothing_is_done(tmp_path: Path) -> None:
    write_tree(application(), tmp_path)
    done = run(tmp_path, "scripts.remove_example", GIT_CEILING_DIRECTORIES=str(tmp_path.parent))
    assert done.returncode == 1
    assert "no git repository" in done.stderr
    assert (tmp_path / "app/domains/authors").exists()
