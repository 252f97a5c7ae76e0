"""``make remove-example``: take a domain out of the application, the example unless another one is named.

Code, tests, numbers, rules, roles that nothing else uses, pages and migrations go; the development database is brought
back before. Nothing is done when there are uncommitted changes, or when something else needs the domain.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from alembic.util import CommandError

from starpost.db import DatabaseStartError, migrate
from starpost.settings import SettingsError
from starpost_dev.commands.writing import faults_of_start
from starpost_dev.project import Project
from starpost_dev.scaffold import Changes, ScaffoldError
from starpost_dev.scaffold.removal import EXAMPLE, Removal, remove_domain
from starpost_dev.scaffold.revisions import Revision
from starpost_dev.scaffold.source import tidy
from starpost_dev.services.client import attach, external_services
from starpost_dev.services.errors import ServiceError
from starpost_dev.services.services import POSTGRES
from starpost_dev.services.state import checkout_state

NOT_OF_THE_APPLICATION = ("packages/", "bench/", "template/")
"""Folders beside an application, which are left alone."""


def read_tree(root: Path) -> dict[str, bytes]:
    """Files of the application: those that git knows, or would take.

    Raises:
        ScaffoldError: There is no git repository.
    """
    done = _git(root, "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    if done.returncode:
        raise ScaffoldError(f"this is no git repository, so that nothing could be taken back: {done.stderr.strip()}")
    return {
        name: (root / name).read_bytes()
        for name in done.stdout.split("\0")
        if (root / name).is_file() and not name.startswith(NOT_OF_THE_APPLICATION)
    }


def users_beside(root: Path, module: str, domain: str, numbers: Sequence[str]) -> list[str]:
    """Return the files beside the application that use the domain: they are for somebody to change."""
    pattern = rf"\b{module}[./]domains[./]{domain}\b|\bPkgID\.({'|'.join([*numbers, domain])})\b"
    found = _git(root, "grep", "--files-with-matches", "--extended-regexp", pattern, "--", *NOT_OF_THE_APPLICATION)
    return found.stdout.splitlines()


def refuse_uncommitted_changes(root: Path) -> None:
    """Make sure that git can bring everything back.

    Raises:
        ScaffoldError: Something is not committed.
    """
    if _git(root, "status", "--porcelain").stdout.strip():
        raise ScaffoldError("there are uncommitted changes; commit or stash them, or say FORCE=1 (--force)")


def _git(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)


def refuse_what_does_not_start(tree: Mapping[str, bytes], root: Path) -> None:
    """Make the application elsewhere, from the files as they would be.

    Raises:
        ScaffoldError: It does not start.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name, content in tree.items():
            file = Path(folder, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        if (root / ".env").exists():
            shutil.copy(root / ".env", folder)
        if faults := faults_of_start(Path(folder)):
            raise ScaffoldError(f"the application would not start without it; nothing was done:\n{faults}")


def bring_database_back(project: Project, undone: Sequence[Revision], root: Path) -> str:
    """Undo migrations in the development database, before their files go; what was done, in a sentence.

    Raises:
        ScaffoldError: The database cannot be brought back.
    """
    names = ", ".join(revision.name for revision in undone)
    if server := external_services(root, os.environ).get(POSTGRES):
        return (
            f"the database is your own ({server}) and was left alone: if it has the revision {names}, go back to the "
            f"commit before and run: make migrate REVISION={_target(undone)}"
        )
    if not (checkout_state(root).path / "postgres").is_dir():
        return "there is no development database yet"
    try:
        with attach([POSTGRES]) as services:
            os.environ.update(services.environment())
            settings = project.settings.load()
            asyncio.run(migrate.run(settings, lambda commands: commands.downgrade(_target(undone))))
    except (ServiceError, SettingsError, DatabaseStartError, CommandError) as error:
        raise ScaffoldError(
            f"the development database cannot be brought back ({error}). "
            "To begin a new one: end what uses it, then rm -r .dev/postgres"
        ) from error
    return f"brought the development database back to {_target(undone)}: its tables of {names} are gone"


def _target(undone: Sequence[Revision]) -> str:
    """Revision before those that go."""
    names = {revision.name for revision in undone}
    before = [name for revision in undone for name in revision.after if name not in names]
    return before[0] if before else "base"


def write(removal: Removal, before: Mapping[str, bytes], root: Path) -> None:
    """Change the files, and delete those that go."""
    changed = {name: content for name, content in removal.tree.items() if before.get(name) != content}
    originals = {root / name: before[name].decode() if name in before else None for name in changed}
    with Changes({root / name: content.decode() for name, content in changed.items()}, originals) as changes:
        for name in before.keys() - removal.tree.keys():
            (root / name).unlink()
            _remove_empty(root / name, root)
        changes.keep()


def _remove_empty(file: Path, root: Path) -> None:
    """Remove the folders that a file leaves empty, but for what Python compiled."""
    for folder in file.parents:
        rest = [each for each in folder.iterdir() if each.name != "__pycache__"]
        if folder == root or rest:
            return
        shutil.rmtree(folder)


def remove(project: Project, domain: str, *, keep_migrations: bool, force: bool) -> None:
    """Remove a domain from the project of the working directory.

    Raises:
        ScaffoldError: It cannot be removed; nothing has changed.
    """
    root = Path.cwd()
    tree = read_tree(root)
    if not force:
        refuse_uncommitted_changes(root)
    removal = remove_domain(tree, domain, project.module, keep_migrations=keep_migrations)
    if removal.dropping is not None:
        path = Path(removal.dropping)
        removal.tree[removal.dropping] = tidy({path: removal.tree[removal.dropping].decode()}, root)[path].encode()
    refuse_what_does_not_start(removal.tree, root)
    said = list(removal.said)
    if removal.undone:
        said.append(bring_database_back(project, removal.undone, root))
    write(removal, tree, root)
    if removal.dropping is not None:
        said.append("to drop the tables: make migrate")
    for line in said:
        print(line)
    if removal.left:
        print(f"\nWhat still names {domain}, for you to read:")
        for line in removal.left:
            print(f"  {line}")
    if beside := users_beside(root, project.module, domain, removal.numbers):
        print(f"\nFiles beside the application that use {domain}, left as they are:")
        for line in beside:
            print(f"  {line}")


def main(project: Project, arguments: Sequence[str] | None = None) -> int:
    """Read the command line and remove; 1 when nothing was done."""
    parser = argparse.ArgumentParser(prog="remove_example", description=__doc__)
    parser.add_argument("--domain", default=EXAMPLE, help=f"a folder of app/domains; default: {EXAMPLE}")
    parser.add_argument("--keep-migrations", action="store_true", help="drop the tables by a new migration")
    parser.add_argument("--force", action="store_true", help="although there are uncommitted changes")
    options = parser.parse_args(arguments)
    try:
        remove(project, options.domain, keep_migrations=options.keep_migrations, force=options.force)
    except (ScaffoldError, ServiceError) as error:
        print(f"remove-example: {error}", file=sys.stderr)
        return 1
    print("\nThen: make check test", file=sys.stderr)
    return 0
