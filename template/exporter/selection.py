"""Selection of what a project gets: the root without the framework, its yardsticks and this template."""

from __future__ import annotations

from template.exporter.tree import Files

NOT_EXPORTED = (
    "bench",
    "docs",
    "examples",
    "hooks",
    "packages",
    "template",
    "tests/docs",
    "tests/test_other_servers.py",
    "tests/test_project.py",
    "{{cookiecutter.project_slug}}",
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "cookiecutter.json",
    "copier.yml",
    "framework.mk",
    "starpost_checkout.py",
)
"""Files and folders that stay here. Pages and wheels come by another way (``documents``, ``vendor``)."""

OWN_FILES = "template/files/"
"""Files that a project has instead of ours, or beside them, under their paths in the project."""


def is_exported(path: str) -> bool:
    """Tell whether a path, or the folder that it is in, belongs to a project."""
    return not any(path == name or path.startswith(f"{name}/") for name in NOT_EXPORTED)


def selected(source: Files) -> Files:
    """Return the files of a project as they are here, those of ``template/files/`` in their places."""
    found = Files({path: content for path, content in source.tree.items() if is_exported(path)})
    found.tree |= {
        path.removeprefix(OWN_FILES): content for path, content in source.tree.items() if path.startswith(OWN_FILES)
    }
    own = {path.removeprefix(OWN_FILES) for path in source.executable if path.startswith(OWN_FILES)}
    found.executable = {path for path in source.executable | own if path in found.tree}
    return found
