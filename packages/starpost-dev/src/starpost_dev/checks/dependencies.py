"""Comparison of what each distribution imports with what it declares, by deptry.

A distribution declares each package that it imports, and imports each that it declares; ``[tool.deptry]`` of its
``pyproject.toml`` has the exceptions with their reasons. Tests and commands belong to no distribution.
"""

import subprocess
import sys
from pathlib import Path

from starpost_dev import layout


def main() -> int:
    """Print missing and unused dependencies by file and line, and return the exit status."""
    statuses = [_compare(file) for file in (Path("pyproject.toml"), *sorted(Path().glob("packages/*/pyproject.toml")))]
    return max(statuses)


def _compare(file: Path) -> int:
    source = file.parent / "src"
    folders = (
        [str(source)]
        if source.is_dir()
        else [folder for folder in (layout.module(), layout.MIGRATIONS) if Path(folder).is_dir()]
    )
    return subprocess.run(
        [sys.executable, "-m", "deptry", *folders, "--config", str(file), "--no-ansi"], check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
