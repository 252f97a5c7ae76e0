"""Write a project into the working directory, from the answers file that is there.

``python …/template/generate.py [--answers .copier-answers.yml]``, run by ``hooks/post_gen_project.py`` for Cookiecutter
and by the task of ``copier.yml``, with their Python. The exporter itself runs in an environment of its own.
"""

import os
import subprocess
import sys
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036 - Cookiecutter and Copier run with older ones, too
    sys.exit("Python 3.11 or newer is needed: run Cookiecutter or Copier with one.")

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from template.exporter import environment  # noqa: E402 - the path first


def main() -> int:
    """Hand over to the exporter; the exit status is its own."""
    try:
        program = environment.python()
    except RuntimeError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    folders = [str(ROOT), str(ROOT / "packages" / "starpost-dev" / "src")]
    command = [str(program), "-P", "-m", "template.exporter.command", *sys.argv[1:]]
    return subprocess.call(command, env=os.environ | {"PYTHONPATH": os.pathsep.join(folders)})


if __name__ == "__main__":
    sys.exit(main())
