"""The example taken out, by the same function as ``make remove-example``."""

from __future__ import annotations

import importlib

from template.exporter.module import MODULE
from template.exporter.tree import Files

EXAMPLE = "authors"


def without_example(source: Files) -> Files:
    """Return this repository's files without the domain ``authors``.

    The function is the developers' distribution's, found by its folder: it is not installed where this runs.
    """
    removal = importlib.import_module("starpost_dev.scaffold.removal").remove_domain(source.tree, EXAMPLE, MODULE)
    return Files(removal.tree, source.executable & removal.tree.keys())
