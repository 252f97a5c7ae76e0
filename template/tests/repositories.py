"""Git repositories made of this working tree, and the programs that generate from them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from template.exporter import answers as questions
from template.exporter.checkout import paths
from template.exporter.tree import Files, read_files
from template.keep_changed import MANIFEST

ROOT = Path.cwd()

GONE = "scripts/report.py"
ALSO_GONE = "scripts/statistics.py"


@dataclass(frozen=True)
class Programs:
    """Cookiecutter, Copier and git, as a user's shell runs them."""

    environment: Mapping[str, str]
    python: str

    def run(self, *command: str, cwd: Path, status: int | None = 0) -> str:
        """Return what a program printed; its exit status is held to the one that is given."""
        done = subprocess.run(
            command,
            cwd=cwd,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        said = done.stdout + done.stderr
        assert status is None or done.returncode == status, f"{command}: {done.returncode}\n{said}"
        return said

    def git(self, *arguments: str, cwd: Path) -> str:
        """Run git; what it printed."""
        return self.run("git", *arguments, cwd=cwd)

    def commit(self, folder: Path, tag: str = "") -> None:
        """Commit everything in a folder, which becomes a repository, and tag it."""
        if not (folder / ".git").exists():
            self.git("init", "--quiet", cwd=folder)
        self.git("add", "--all", cwd=folder)
        self.git("commit", "--quiet", "--allow-empty", "--message", tag or "changes", cwd=folder)
        if tag:
            self.git("tag", tag, cwd=folder)

    def cookiecutter(self, template: str, *answers: str, cwd: Path, status: int = 0) -> str:
        """Generate without questions; what was printed."""
        command = [self.python, "-m", "cookiecutter", "--no-input", "--overwrite-if-exists", template, *answers]
        return self.run(*command, cwd=cwd, status=status)

    def copier(self, operation: str, *arguments: str, cwd: Path, status: int = 0) -> str:
        """Copy or update without questions; an argument with ``=`` is an answer. What was printed."""
        command = [self.python, "-W", "ignore", "-m", "copier", operation, "--trust", "--defaults"]
        for argument in arguments:
            command += ["--data", argument] if "=" in argument else [argument]
        return self.run(*command, cwd=cwd, status=status)


def copied(folder: Path) -> Path:
    """Copy the files of this working tree into a folder."""
    for path in paths(ROOT):
        if (ROOT / path).is_file():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / path, folder / path)
    return folder


def content_of(project: Path) -> Files:
    """Read a project, without what git keeps of it."""
    return read_files(
        project,
        [
            path.relative_to(project).as_posix()
            for path in project.rglob("*")
            if path.is_file() and ".git" not in path.parts
        ],
    )


def without_answers(files: Files) -> Files:
    """Leave out what depends on where a project was generated from."""
    return Files(
        {path: content for path, content in files.tree.items() if path not in (questions.FILE, MANIFEST)},
        files.executable,
    )


def answers_in(project: Path) -> dict[str, object]:
    """Read a project's answers file."""
    return questions.parse((project / questions.FILE).read_text())


def append(file: Path, text: str) -> None:
    """Add to the end of a file."""
    file.write_text(file.read_text() + text)


def replace(file: Path, old: str, new: str) -> None:
    """Replace the one place of a file."""
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))


def checked_out(programs: Programs, repository: Path, version: str, folder: Path) -> Path:
    """Clone one version."""
    programs.git("clone", "--quiet", "--branch", version, str(repository), str(folder), cwd=folder.parent)
    return folder


def two_versions(programs: Programs, folder: Path) -> Path:
    """Make a repository: its older version has two files more, its newer one another framework, module and page."""
    copied(folder)
    for name in (GONE, ALSO_GONE):
        (folder / name).write_text(f'"""Of the first version: {name}."""\n')
    programs.commit(folder, "v0.1.0")
    for name in (GONE, ALSO_GONE):
        (folder / name).unlink()
    (folder / "scripts" / "added.py").write_text('"""Of the second version."""\n')
    append(folder / "packages" / "starpost" / "src" / "starpost" / "errors.py", "\n# A second version.\n")
    append(folder / "app" / "domains" / "authors" / "packets.py", "\n# A second version.\n")
    append(folder / "template" / "files" / "README.md", "\nOf the second version.\n")
    replace(folder / "app" / "asgi.py", '"""The application:', '"""The whole application:')
    programs.commit(folder, "v0.2.0")
    return folder


def generated(programs: Programs, repository: Path, folder: Path, door: str) -> Path:
    """Make a project of the first version, committed, with local edits."""
    if door == "cookiecutter":
        clone = checked_out(programs, repository, "v0.1.0", folder.parent / "clone")
        programs.cookiecutter(str(clone), cwd=folder.parent)
        programs.git("checkout", "--quiet", "v0.2.0", cwd=clone)
    else:
        programs.copier("copy", str(repository), str(folder), "--vcs-ref", "v0.1.0", cwd=folder.parent)
    programs.commit(folder)
    replace(
        folder / "app" / "domains" / "authors" / "packets.py", '"""Add an author."""', '"""Add an author of mine."""'
    )
    replace(folder / "README.md", "# My project", "# My own project")
    append(folder / GONE, "\n# Mine.\n")
    (folder / "app" / "mine.py").write_text('"""Mine."""\n')
    programs.commit(folder)
    return folder
