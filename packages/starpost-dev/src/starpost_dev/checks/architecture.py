"""``make architecture``: draw the rooms of the framework and their imports, as ``docs/architecture.svg``.

Rows come from the layers that ``pyproject.toml`` gives to import-linter, arrows from the imports themselves. An arrow
that follows from others is left out.
"""

import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

import grimp

FILE: Final = Path("docs/architecture.svg")
PACKAGE: Final = "starpost"

WIDTH: Final = 760
ROW: Final = 66
BOX: Final = (132, 32)
MARGIN: Final = 24

STYLE: Final = """
  text { font: 14px system-ui, sans-serif; fill: #1f2328; text-anchor: middle; dominant-baseline: central }
  rect.room { fill: #eef4fb; stroke: #5b7fa6 }
  path { fill: none; stroke: #8a96a3; stroke-width: 1.2; marker-end: url(#end) }
"""

MARKER: Final = (
    '<defs><marker id="end" viewBox="0 0 8 8" refX="4" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<polygon points="0,0 8,4 0,8" fill="#8a96a3"/></marker></defs>'
)

Point = tuple[float, float]


def rows(project: Mapping[str, object]) -> list[list[str]]:
    """Return the names of the rooms, by layer, the outermost first.

    Args:
        project: Content of ``pyproject.toml``.

    Raises:
        LookupError: No contract has the layers of the package.
    """
    contracts = project["tool"]["importlinter"]["contracts"]  # type: ignore[index]
    for contract in contracts:
        if contract["type"] == "layers" and contract.get("containers") == [PACKAGE]:
            return [[room.strip(" ()") for room in layer.split("|")] for layer in contract["layers"]]
    raise LookupError(f"no layers contract has the container {PACKAGE}")


def imports() -> dict[str, set[str]]:
    """Return the rooms that each room imports."""
    graph = grimp.build_graph(PACKAGE, exclude_type_checking_imports=True)
    found: dict[str, set[str]] = defaultdict(set)
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            pair = [name.split(".")[1] if "." in name else "" for name in (module, imported)]
            if all(pair) and pair[0] != pair[1]:
                found[pair[0]].add(pair[1])
    return found


def reduced(edges: Mapping[str, set[str]]) -> Iterator[tuple[str, str]]:
    """Yield the edges that do not follow from others, of a graph without circles."""
    below: dict[str, set[str]] = {}

    def reach(room: str) -> set[str]:
        if room not in below:
            direct = edges.get(room, set())
            below[room] = direct.union(*map(reach, direct))
        return below[room]

    for room, direct in sorted(edges.items()):
        yield from ((room, target) for target in sorted(direct) if not any(target in reach(via) for via in direct))


def draw(layers: list[list[str]], edges: Mapping[str, set[str]]) -> str:
    """Return the picture.

    Args:
        layers: Rooms by row. Those without an import in either direction are not drawn.
        edges: Rooms that each room imports.
    """
    known = edges.keys() | set().union(*edges.values())
    shown = [[room for room in layer if room in known] for layer in layers]
    places = dict(_places([layer for layer in shown if layer]))
    width, height = BOX
    arrows, boxes = [], []
    for source, target in reduced(edges):
        (x1, y1), (x2, y2) = places[source], places[target]
        start, end = y1 + height / 2, y2 - height / 2 - 5
        bend = (end - start) / 2
        arrows.append(f'<path d="M{x1:g} {start:g} C{x1:g} {start + bend:g} {x2:g} {end - bend:g} {x2:g} {end:g}"/>')
    for room, (x, y) in places.items():
        corner = f'x="{x - width / 2:g}" y="{y - height / 2:g}"'
        boxes.append(f'<rect class="room" {corner} width="{width}" height="{height}" rx="6"/>')
        boxes.append(f'<text x="{x:g}" y="{y:g}">{escape(room)}</text>')
    bottom = max(y for _, y in places.values()) + height / 2 + MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom:g}" role="img">',
            f"<title>Rooms of {PACKAGE}, each above those that it imports</title>",
            f"<style>{STYLE}</style>",
            MARKER,
            '<rect width="100%" height="100%" fill="#ffffff"/>',
            *arrows,
            *boxes,
            "</svg>",
            "",
        ]
    )


def _places(layers: list[list[str]]) -> Iterator[tuple[str, Point]]:
    for row, layer in enumerate(layers):
        # Every second row is moved, so that long arrows do not run through one column of boxes.
        shift = (WIDTH / 10) * (1 if row % 2 else -1) if len(layer) < 3 else 0
        for place, room in enumerate(layer, start=1):
            yield room, (WIDTH * place / (len(layer) + 1) + shift, MARGIN + BOX[1] / 2 + row * ROW)


def picture() -> str:
    """Return the picture of the code as it is."""
    return draw(rows(tomllib.loads(Path("pyproject.toml").read_text())), imports())


def main() -> int:
    """Write the picture, and return the exit status."""
    FILE.write_text(picture())
    return 0


if __name__ == "__main__":
    sys.exit(main())
