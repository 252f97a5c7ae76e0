"""The contracts of the imports are kept, and notice an import that breaks them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path.cwd()

BREAKS = {
    "packages/starpost/src/starpost/errors.py": "import app.pkg_ids",
    "app/pkg_ids.py": "import starpost_dev.layout",
    "app/domains/__init__.py": "from starpost.db.pool import StatementPool",
    "packages/starpost/src/starpost/db/pool.py": "import starpost.topics.hub",
    "packages/starpost-dev/src/starpost_dev/layout.py": "import starpost_dev.commands.serve",
    "packages/starpost/src/starpost/protocol/pages.py": "import redis.asyncio",
    "packages/starpost/src/starpost/protocol/close_codes.py": "import starpost.protocol.codecs",
    "packages/starpost/src/starpost/protocol/codecs.py": "import starpost.protocol.close_codes",
    "packages/starpost/src/starpost/lost_room.py": "",
}
"""One import for each contract at least, by the file that is given it."""

NOTICED = (
    r"starpost is not allowed to import app",
    r"app is not allowed to import starpost_dev",
    r"app\.domains is not allowed to import starpost\.db",
    r"starpost\.db is not allowed to import starpost\.topics",
    r"starpost_dev\.layout is not allowed to import starpost_dev\.commands",
    r"starpost\.protocol is not allowed to import redis",
    r"No cycles are allowed in starpost\.protocol",
    r"lost_room",
)


def test_every_contract_notices_an_import_that_breaks_it(tmp_path: Path) -> None:
    for folder in ("app", "packages/starpost/src", "packages/starpost-dev/src"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for file, line in BREAKS.items():
        with (tmp_path / file).open("a") as code:
            code.write(f"\n{line}\n")
    sources = [".", "packages/starpost/src", "packages/starpost-dev/src"]
    done = subprocess.run(
        [sys.executable, "-m", "starpost_dev.checks.imports", "--no-cache"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(str(tmp_path / source) for source in sources)},
        capture_output=True,
        text=True,
        check=False,
    )
    said = " ".join(done.stdout.split())
    assert done.returncode == 1, done.stderr
    assert " 0 kept" in said
    assert [pattern for pattern in NOTICED if not re.search(pattern, said)] == []
