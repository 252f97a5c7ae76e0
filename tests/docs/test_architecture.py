"""The picture of the rooms is that of the imports; the page knows each room."""

import re

from starpost_dev.checks import architecture
from tests.docs.pages import ROOT


def test_the_picture_is_fresh() -> None:
    assert architecture.FILE.read_text() == architecture.picture(), "run `make architecture`"


def test_a_new_import_changes_the_picture() -> None:
    layers = [["composition"], ["http"], ["protocol"]]
    edges = {"composition": {"http"}, "http": {"protocol"}}
    drawn = architecture.draw(layers, edges)
    assert architecture.draw(layers, edges | {"composition": {"http", "protocol"}}) == drawn, "it follows from others"
    assert architecture.draw(layers, {"composition": {"http", "protocol"}}) != drawn


def test_the_page_has_a_row_for_each_room() -> None:
    rooms = {path.parent.name for path in (ROOT / "packages/starpost/src/starpost").glob("*/__init__.py")}
    page = (ROOT / "docs/architecture.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == rooms
