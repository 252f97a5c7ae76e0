"""Formatter and import order of a project's Python, by ruff and the project's own settings."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from template.exporter.tree import Files, write_files


def format_python(files: Files) -> None:
    """Format every module: a package of another name sorts elsewhere and makes lines of another length."""
    modules = [path for path in files.tree if path.endswith((".py", ".pyi"))]
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary).resolve()
        write_files(root, Files({path: files.tree[path] for path in [*modules, "pyproject.toml"]}))
        for command in (["check", "--select", "I", "--fix", "--quiet"], ["format", "--quiet"]):
            done = subprocess.run(
                [sys.executable, "-m", "ruff", *command, "--no-cache", "."],
                cwd=root, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            )  # fmt: skip
            if done.returncode:
                raise RuntimeError(f"ruff {command[0]} fails:\n{done.stdout}{done.stderr}")
        for path in modules:
            files.tree[path] = (root / path).read_bytes()
