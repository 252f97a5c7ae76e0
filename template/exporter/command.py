"""Command line of the exporter: everything is made before the first file is written."""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

from template.exporter import answers as questions
from template.exporter import checkout, environment, vendor
from template.exporter.export import exported
from template.exporter.formatting import format_python
from template.exporter.tree import EditError, Files, read_files, write_files
from template.keep_changed import MANIFEST

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Write the project into the working directory; the exit status."""
    parser = argparse.ArgumentParser(prog="generate.py", description=__doc__)
    parser.add_argument("--answers", type=Path, default=Path(questions.FILE), help="file with the answers")
    options = parser.parse_args()
    try:
        generate(options.answers)
    except (questions.AnswersError, EditError, RuntimeError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def generate(file: Path) -> None:
    """Write the project of an answers file beside it.

    Raises:
        AnswersError: An answer cannot be used.
        EditError: This repository is not as the exporter expects it, or something is in the way.
        RuntimeError: A tool fails; the text has its output.
    """
    found = questions.parse(file.read_text(encoding="utf-8"))
    answers = questions.checked(found)
    source = read_files(ROOT, checkout.paths(ROOT))
    project = exported(source, answers, vendor.built(source, environment.cache() / "archives"))
    format_python(project)
    # Copier's checkout is a clone made for this run; Cookiecutter's answers name theirs.
    address = checkout.address(ROOT, str(found.get("_src_path", "")), is_clone="_checkout" not in found)
    version = found.get("_commit") or checkout.commit(ROOT)
    project.write(MANIFEST, manifest(project))
    project.write(file.as_posix(), questions.render(answers, str(version) if version else None, address))
    write_files(Path.cwd(), project)


def manifest(project: Files) -> str:
    """Return the digests of what was generated, as ``sha256sum --check`` reads them; ``vendor/`` is not for editing."""
    return "".join(
        f"{hashlib.sha256(content).hexdigest()}  {path}\n"
        for path, content in sorted(project.tree.items())
        if not path.startswith("vendor/")
    )


if __name__ == "__main__":
    sys.exit(main())
