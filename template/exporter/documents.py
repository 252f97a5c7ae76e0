"""Pages of a project: the guide becomes ``docs/``, the framework's own pages go beside its wheels.

A link leads to where its target is in the project; one to a page that stays here becomes plain text.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

from template.exporter.module import MODULE, renamed_text
from template.exporter.tree import Files, Tree

GUIDE = "docs/guide/"
PAGES = "docs/"
VENDORED = "vendor/docs/"
CHANGELOGS = {
    "packages/starpost/CHANGELOG.md": f"{VENDORED}changelog-starpost.md",
    "packages/starpost-dev/CHANGELOG.md": f"{VENDORED}changelog-starpost-dev.md",
}

_LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s#]*)(?P<anchor>#[^)\s]*)?\)")


def place_of(path: str, module: str) -> str:
    """Return where a file of this repository is in a project, if it is there."""
    if path in CHANGELOGS:
        return CHANGELOGS[path]
    if path.startswith(GUIDE):
        return PAGES + path.removeprefix(GUIDE)
    if path.startswith(PAGES):
        return VENDORED + path.removeprefix(PAGES)
    if path == MODULE or path.startswith(f"{MODULE}/"):
        return module + path.removeprefix(MODULE)
    return path


def is_page(path: str) -> bool:
    """Tell whether a project gets a file of the documentation: pages and their pictures, and no decisions."""
    if path in CHANGELOGS or path.startswith(GUIDE):
        return True
    return path.startswith(PAGES) and "/" not in path.removeprefix(PAGES)


def pages(source: Files, guide: Mapping[str, bytes], project: Mapping[str, bytes], module: str) -> Tree:
    """Return the pages in their places.

    Args:
        source: This repository.
        guide: Its guide, perhaps without the example.
        project: The project's other files, which links may lead to.
        module: Package of the application.
    """
    chosen = {path: content for path, content in source.tree.items() if is_page(path) and not path.startswith(GUIDE)}
    chosen |= {path: content for path, content in guide.items() if path.startswith(GUIDE)}
    places = {path: place_of(path, module) for path in chosen}
    present = {*project, *places.values()}
    present |= {folder for path in present for folder in _folders(path)}
    return {
        places[path]: _page(path, content.decode(), present, module).encode() if path.endswith(".md") else content
        for path, content in chosen.items()
    }


def _folders(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: length + 1]) for length in range(len(parts))]


def _page(path: str, text: str, present: set[str], module: str) -> str:
    here = posixpath.dirname(place_of(path, module))

    def led(match: re.Match[str]) -> str:
        target = match["target"]
        if not target or re.match(r"\w+:", target):
            return match[0]
        old = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
        new = place_of(old, module)
        if new not in present:
            return match["text"]
        link = posixpath.relpath(new, here) + ("/" if target.endswith("/") else "")
        return f"{match['image']}[{match['text']}]({link}{match['anchor'] or ''})"

    return renamed_text(_LINK.sub(led, text), module)
