"""Docstrings: every public name has one, and it opens with a noun or an imperative.

``python -m starpost_dev.checks.docstrings FOLDER …`` runs interrogate, then refuses docstrings whose first word is a
question word or a pronoun ("Whether the token is valid.", "What a client may send."). Those of attributes count too,
as strings or as ``#:`` comments. Tests are exempt.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

REFUSED: Final = re.compile(
    r"\s*(?:#:)?\s*(What|Who|Whose|Whom|Whether|How|Why|Where|Which|When|It|They|Its|Their|These|Those|Nobody)\b"
)
"""First words that hide the thing or the action that a docstring is about."""


def docstrings_of(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of every docstring of a module, those of attributes included."""
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else ():
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                yield statement.lineno, str(statement.value.value)
    for number, line in enumerate(source.splitlines(), start=1):
        if line.lstrip().startswith("#: "):
            yield number, line


def faults_of(folder: Path) -> Iterator[str]:
    """Yield file, line and first word of each docstring in a folder that is refused."""
    for path in sorted(folder.rglob("*.py")):
        if "tests" in path.parts:
            continue
        for number, text in docstrings_of(path.read_text()):
            if refused := REFUSED.match(text):
                yield f"{path}:{number}: opens with {refused[1]!r}"


def main(folders: Sequence[str]) -> int:
    """Run both checks, and return the exit status."""
    command = [sys.executable, "-m", "interrogate", "-vv", "--omit-covered-files", *folders]
    status = subprocess.run(command, check=False).returncode
    faults = [fault for folder in folders for fault in faults_of(Path(folder))]
    if faults:
        sys.stderr.write("\n".join([*faults, 'Open with a noun ("Limit of …") or an imperative ("Return …")', ""]))
    return status or bool(faults)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
