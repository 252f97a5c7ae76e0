"""Contracts of the imports: ``[tool.importlinter]`` in ``pyproject.toml``.

A module of its own, as import-linter cannot be run by ``python -m``.
"""

from importlinter.cli import lint_imports_command

if __name__ == "__main__":
    lint_imports_command()
