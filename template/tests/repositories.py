"""Git repositories made of this working tree, and the programs that generate from them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from template.exporter import answers as questions
from template.exporter.checkout import paths
from template.exporter.command import MANIFEST
from template.exporter.tree import Files, read_files

ROOT = Path.cwd()


@dataclass(frozen=True)
class Programs:
    """Cookiecutter, Copier and git, as a user's shell runs them."""

    environment: Mapping[str, str]

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
        command = [sys.executable, "-m", "cookiecutter", "--no-input", "--overwrite-if-exists", template, *answers]
        return self.run(*command, cwd=cwd, status=status)

    def copier(self, operation: str, *arguments: str, cwd: Path, status: int = 0) -> str:
        """Copy or update without questions; an argument with ``=`` is an answer. What was printed."""
        command = [sys.executable, "-W", "ignore", "-m", "copier", operation, "--trust", "--defaults"]
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
