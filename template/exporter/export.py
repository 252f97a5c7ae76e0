"""The function: files of this repository, answers and the framework's archives in, files of a project out."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping

from template.exporter import documents, locks, names, pyproject
from template.exporter.answers import Answers
from template.exporter.example import without_example
from template.exporter.module import MODULE, renamed_python, renamed_text
from template.exporter.selection import OWN_FILES, selected
from template.exporter.tree import Files, Tree
from template.exporter.vendor import FOLDER

LOCKS = {"requirements/runtime.lock": ("starpost",), "requirements/dev.lock": ("starpost", "starpost-dev")}

TEXTS = (".dockerignore", "Makefile", "docker/Dockerfile", "docker/compose.yml")
"""Files that name the package, beside Python, pages and ``pyproject.toml``."""


def exported(source: Files, answers: Answers, archives: Mapping[str, Tree]) -> Files:
    """Return the files of a project; nothing is read or run.

    Args:
        source: This repository.
        answers: The user's.
        archives: The framework's distributions, each with its archives by name.

    Raises:
        EditError: A file of this repository is not as the exporter expects it.
    """
    if not answers.keep_example:
        source = without_example(source)
    files = selected(source)
    own = frozenset(path.removeprefix(OWN_FILES) for path in source.tree if path.startswith(OWN_FILES))
    names.give_names(files, answers, own)
    wheels = _add_archives(files, archives)
    _edit_locks(files, answers, wheels, source)
    paths = {name: wheel.path for name, wheel in wheels.items()}
    files.write(
        "pyproject.toml",
        pyproject.edited(files.text("pyproject.toml"), answers, paths, files.text("requirements/dev.lock")),
    )
    _edit_containers(files)
    _edit_workflow(files)
    files.tree = _renamed(files, answers.module_name, own)
    files.tree |= documents.pages(source, source.tree, files.tree, answers.module_name)
    files.executable = {_moved(path, answers.module_name) for path in files.executable}
    return files


def _add_archives(files: Files, archives: Mapping[str, Tree]) -> dict[str, locks.Wheel]:
    wheels = {}
    for name, tree in archives.items():
        files.tree |= {FOLDER + path: content for path, content in tree.items()}
        path, content = next((path, content) for path, content in tree.items() if path.endswith(".whl"))
        via = ("{project} (pyproject.toml)",) if name == "starpost" else ("{project} (pyproject.toml:dev)",)
        wheels[name] = locks.Wheel(name, FOLDER + path, hashlib.sha256(content).hexdigest(), via)
    return wheels


def _edit_locks(files: Files, answers: Answers, wheels: Mapping[str, locks.Wheel], source: Files) -> None:
    groups = tomllib.loads(source.text("pyproject.toml"))["dependency-groups"]
    kept = groups.keys() - {*pyproject.DROPPED_GROUPS}
    dropped = locks.asked_for_here_alone(groups, kept, pyproject.DROPPED_GROUPS)
    for path, needed in LOCKS.items():
        chosen = [wheels[name] for name in needed]
        if path.endswith("dev.lock"):
            via = (*wheels["starpost"].via, "starpost-dev")
            chosen[0] = locks.Wheel("starpost", chosen[0].path, chosen[0].sha256, via)
        files.write(path, locks.edited(files.text(path), answers.project_slug, dropped, chosen))


def _edit_containers(files: Files) -> None:
    dockerfile = "docker/Dockerfile"
    text = files.text(dockerfile)
    begin = text.index("# The framework alone:")
    files.write(dockerfile, text[:begin] + text[text.index("\nFROM ", begin) :])
    files.replace(
        dockerfile,
        "COPY requirements/runtime.lock requirements/runtime.lock\n",
        "COPY vendor vendor\nCOPY requirements/runtime.lock requirements/runtime.lock\n",
    )
    files.replace(dockerfile, f"COPY {MODULE} {MODULE}\n", f"COPY {MODULE}/ {MODULE}/\n")
    files.replace(".dockerignore", "!packages/starpost\npackages/starpost/tests\n", "!vendor\nvendor/docs\n")
    files.replace(".dockerignore", f"!{MODULE}\n", f"!{MODULE}/\n")


def _edit_workflow(files: Files) -> None:
    path = ".github/workflows/ci.yml"
    text = files.text(path)
    begin = text.index("      - uses: actions/setup-java")
    files.write(path, text[:begin] + text[text.index("      - run: .ci/run", begin) :])


def _moved(path: str, module: str) -> str:
    return module + path.removeprefix(MODULE) if path.startswith(f"{MODULE}/") else path


def _renamed(files: Files, module: str, own: frozenset[str]) -> Tree:
    tree = {}
    for path, content in files.tree.items():
        if path.endswith((".py", ".pyi", ".mako")):
            new = renamed_python(content.decode(), module).encode() if not path.endswith(".mako") else content
        elif path in TEXTS or path in own:
            new = renamed_text(content.decode(), module).encode()
        else:
            new = content
        tree[_moved(path, module)] = new
    return tree
