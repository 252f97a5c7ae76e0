"""Drawing in SVG 1.1: rectangles, lines and text.

We write the SVG ourselves: chart libraries make files of a hundred kilobytes, with scripts and fonts, for the same.
"""

from collections.abc import Sequence
from typing import Final
from xml.etree import ElementTree as ET

INK: Final = "#24292f"
"""Colour of text and axes."""
LINE: Final = "#d0d7de"
"""Colour of a grid."""


class Drawing:
    """Document of a size in pixels. It has a background, so that it is readable on light and dark pages."""

    def __init__(self, width: float, height: float, title: str) -> None:
        self._root = ET.Element(
            "svg",
            {
                "xmlns": "http://www.w3.org/2000/svg",
                "viewBox": f"0 0 {width} {height}",
                "width": str(width),
                "height": str(height),
                "font-family": "system-ui, sans-serif",
                "font-size": "12",
                "role": "img",
            },
        )
        ET.SubElement(self._root, "title").text = title
        self.rectangle(0, 0, width, height, "#ffffff")

    def __str__(self) -> str:
        return ET.tostring(self._root, encoding="unicode") + "\n"

    def rectangle(self, x: float, y: float, width: float, height: float, fill: str) -> None:
        """Draw a rectangle from its upper left corner."""
        ET.SubElement(self._root, "rect", _numbers(x=x, y=y, width=width, height=height) | {"fill": fill})

    def line(self, points: Sequence[tuple[float, float]], colour: str = INK, width: float = 1) -> None:
        """Draw a line through points."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        ET.SubElement(
            self._root, "polyline", {"points": path, "fill": "none", "stroke": colour, "stroke-width": f"{width:g}"}
        )

    def text(self, x: float, y: float, words: str, anchor: str = "start", colour: str = INK) -> None:
        """Write a line of text on its base line."""
        ET.SubElement(self._root, "text", _numbers(x=x, y=y) | {"text-anchor": anchor, "fill": colour}).text = words


def _numbers(**values: float) -> dict[str, str]:
    return {name: f"{value:.1f}" for name, value in values.items()}
