"""`make migrate` and `make migration`: migrate the configured database, or the checkout's own.

`python -m scripts.migrate [upgrade | downgrade | revision | check] …` hands its arguments to `starpost.db.migrate`,
with the development PostgreSQL started for it when no `DB_HOST` is set. A new revision is
written from the difference to a database that has all the others.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from starpost.db import migrate
from starpost_dev.project import Project
from starpost_dev.services.client import attach
from starpost_dev.services.errors import ServiceError
from starpost_dev.services.services import POSTGRES


def main(project: Project) -> int:
    """Run the command, and return its exit status."""
    arguments = sys.argv[1:]
    versions = migrate.MIGRATIONS / "versions"
    before = set(versions.glob("*.py"))
    try:
        with attach([POSTGRES]) as services:
            os.environ.update(services.environment())
            is_revision = arguments[:1] == ["revision"]
            status = migrate.main(["upgrade"], project.settings) if is_revision else 0
            status = status or migrate.main(arguments, project.settings)
    except ServiceError as error:
        print(f"migrate: {error}", file=sys.stderr)
        return 1
    for file in sorted(set(versions.glob("*.py")) - before):
        _format(file)
        print(f"Wrote {file}: read it before you commit it.")
    return status


def _format(file: Path) -> None:
    """Format a new migration, since the style check would refuse Alembic's output."""
    for command in (["check", "--fix-only", "--quiet"], ["format", "--quiet"]):
        subprocess.run([sys.executable, "-m", "ruff", *command, file], check=True)
