"""Bar chart of the ratios, in SVG 1.1: one bar for each case, with its spread and the goal.

We write the SVG ourselves: chart libraries make files of a hundred kilobytes, with scripts and fonts, for the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as ET

from bench.runner import Outcome
from bench.statistics import Spread

_ROW: Final = 26
_LABELS: Final = 300
_PLOT: Final = 420
_MARGIN: Final = 24
_GREEN, _RED, _GREY, _INK, _LINE = "#2e8b57", "#c0504d", "#7f8c9b", "#24292f", "#d0d7de"


@dataclass(frozen=True, slots=True)
class Bar:
    """Line of the chart; ``goal`` is a ratio."""

    label: str
    ratio: Spread
    goal: float | None = None
    is_minimum: bool = True

    @property
    def colour(self) -> str:
        """Colour, which shows whether the median reaches the goal."""
        if self.goal is None:
            return _GREY
        return _GREEN if (self.ratio.median >= self.goal) == self.is_minimum else _RED


def bars(outcomes: Sequence[Outcome]) -> list[Bar]:
    """Return a bar for the first metric of each case that has a ratio."""
    found = []
    for outcome in outcomes:
        metric = outcome.case.metrics[0]
        ratio = outcome.ratio(metric) if outcome.is_measured else None
        if ratio is None:
            continue
        goal = metric.goal if metric.goal is not None and metric.goal.of == "ratio" else None
        label = f"{outcome.case.title} ({metric.unit})"
        found.append(Bar(label, ratio, None if goal is None else goal.bound, goal is None or goal.is_minimum))
    return found


def svg(shown: Sequence[Bar]) -> str:
    """Return the document. It has a background, so that it is readable on light and dark pages."""
    scale = _PLOT / max([1.25, *(bar.ratio.largest * 1.05 for bar in shown)])
    width, height = _LABELS + _PLOT + 2 * _MARGIN + 40, _ROW * len(shown) + 2 * _MARGIN + 30
    root = ET.Element(
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
    ET.SubElement(root, "title").text = "Application over yardstick, median and spread of all rounds"
    _rectangle(root, 0, 0, width, height, "#ffffff")
    left, top, bottom = _MARGIN + _LABELS, _MARGIN, _MARGIN + _ROW * len(shown)
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0):
        x = left + tick * scale
        if x <= left + _PLOT:
            _stroke(root, x, top, x, bottom, _INK if tick == 1 else _LINE)
            _text(root, x, bottom + 16, f"{tick:g}", "middle")
    _text(
        root, left, bottom + 34, "1 is the yardstick; a tick marks the goal, a line the spread of the rounds", "start"
    )
    for number, bar in enumerate(shown):
        _draw(root, bar, left, top + number * _ROW, scale)
    return ET.tostring(root, encoding="unicode") + "\n"


def _draw(root: ET.Element, bar: Bar, left: float, top: float, scale: float) -> None:
    middle = top + _ROW / 2
    _text(root, left - 8, middle + 4, bar.label, "end")
    _rectangle(root, left, top + 6, bar.ratio.median * scale, _ROW - 12, bar.colour)
    _stroke(root, left + bar.ratio.smallest * scale, middle, left + bar.ratio.largest * scale, middle, _INK)
    if bar.goal is not None:
        _stroke(root, left + bar.goal * scale, top + 2, left + bar.goal * scale, top + _ROW - 2, _INK, 2)
    _text(root, left + bar.ratio.largest * scale + 6, middle + 4, f"{bar.ratio.median:.2f}", "start")


def _rectangle(root: ET.Element, x: float, y: float, width: float, height: float, fill: str) -> None:
    ET.SubElement(root, "rect", _numbers(x=x, y=y, width=width, height=height) | {"fill": fill})


def _stroke(root: ET.Element, x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1) -> None:
    ET.SubElement(root, "line", _numbers(x1=x1, y1=y1, x2=x2, y2=y2) | {"stroke": colour, "stroke-width": f"{width:g}"})


def _text(root: ET.Element, x: float, y: float, words: str, anchor: str) -> None:
    ET.SubElement(root, "text", _numbers(x=x, y=y) | {"text-anchor": anchor, "fill": _INK}).text = words


def _numbers(**values: float) -> dict[str, str]:
    return {name: f"{value:.1f}" for name, value in values.items()}
