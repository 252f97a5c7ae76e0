"""``make check``: all static checks of the code.

All checks run, two at a time, even if others fail. The output of those that fail is shown.
"""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from starpost_dev.layout import module

PYTHON = sys.executable

SOURCES = "SOURCES"
"""Placeholder for the application and those of ``FOLDERS`` that exist, for tools that read no list of their own."""

FOLDERS = ("scripts", "bench", "packages", "template")

CHECKS = {
    # The longest first, so that the others run beside it.
    "types": ("mypy",),
    "plans": ("starpost_dev.checks.plans",),
    "style": ("ruff", "check", "."),
    "format": ("ruff", "format", "--check", "."),
    "docstrings": ("starpost_dev.checks.docstrings", SOURCES),
    "dead code": ("vulture",),
    "spelling": ("codespell_lib",),
    # From medium severity on: ruff's S rules cover the lower ones, and exceptions have their reason in the line.
    "security": ("bandit", "-ll", "--quiet", "--configfile", "pyproject.toml", "--recursive", SOURCES),
    "imports": ("starpost_dev.checks.imports",),
    "dependencies": ("starpost_dev.checks.dependencies",),
    "private names": ("starpost_dev.checks.private_names",),
    "lock files": ("starpost_dev.checks.check_locks",),
    ".env.example": ("scripts.env_example", "--check"),
    "permissions": ("scripts.check_actions",),
}
"""Module and arguments, run as ``python -m`` in the root of the project."""

SHOWN = {"private names"}
"""Checks whose output is shown even if they pass."""


def run(name: str) -> bool:
    """Run one check, print its outcome, and return whether it passed."""
    started = time.monotonic()
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    command = [PYTHON, "-m"]
    for word in CHECKS[name]:
        command += [module(), *(folder for folder in FOLDERS if Path(folder).is_dir())] if word == SOURCES else [word]
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    is_good = done.returncode == 0
    verdict = "ok" if is_good else "FAILED"
    print(f"{verdict:>6}  {name} ({time.monotonic() - started:.1f} s)", flush=True)
    if not is_good or name in SHOWN:
        print(f"{done.stdout}{done.stderr}".rstrip(), flush=True)
    return is_good


def main() -> int:
    """Run the checks named on the command line, or all of them, and return the exit status."""
    names = sys.argv[1:] or list(CHECKS)
    if unknown := [name for name in names if name not in CHECKS]:
        print(f"no such check: {', '.join(unknown)}; there are: {', '.join(CHECKS)}", file=sys.stderr)
        return 2
    with ThreadPoolExecutor(max_workers=2) as pool:
        outcomes = list(pool.map(run, names))
    failed = outcomes.count(False)
    print(f"{len(outcomes) - failed} good, {failed} failed", flush=True)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
