"""Chart of the growth curves: milliseconds by number of rows, both on logarithmic scales."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from bench.drawing import LINE, Drawing

_WIDTH: Final = 380
_HEIGHT: Final = 360
_MARGIN: Final = 48
_LABELS: Final = 320
_SPACING: Final = 16
_COLOURS: Final = ("#0550ae", "#1a7f37", "#9a6700", "#cf222e", "#8250df", "#0a7d86", "#bf3989", "#57606a", "#bc4c00")


def svg(curves: Mapping[str, Mapping[int, float]]) -> str:
    """Return the document: a line for each curve, and its title where the line ends."""
    values = [value for curve in curves.values() for value in curve.values()]
    powers = range(math.floor(math.log10(min(values))), math.ceil(math.log10(max(values))) + 1)
    sizes = sorted({size for curve in curves.values() for size in curve})
    drawing = Drawing(
        2 * _MARGIN + _WIDTH + _LABELS, 2 * _MARGIN + _HEIGHT, "Milliseconds of a list by the rows of its table"
    )

    def x(size: int) -> float:
        return _MARGIN + _WIDTH * math.log(size / sizes[0]) / math.log(sizes[-1] / sizes[0])

    def y(milliseconds: float) -> float:
        return _MARGIN + _HEIGHT * (powers[-1] - math.log10(milliseconds)) / (powers[-1] - powers[0])

    for power in powers:
        drawing.line([(x(sizes[0]), y(10**power)), (x(sizes[-1]), y(10**power))], LINE)
        drawing.text(_MARGIN - 6, y(10**power) + 4, f"{10.0**power:g}", "end")
    for size in sizes:
        drawing.line([(x(size), y(10 ** powers[0])), (x(size), y(10 ** powers[-1]))], LINE)
        drawing.text(x(size), _MARGIN + _HEIGHT + 18, f"{size:,} rows", "middle")
    drawing.text(_MARGIN - 6, _MARGIN - 18, "ms")
    lowest_first = sorted(curves, key=lambda title: curves[title][sizes[-1]])
    heights = _apart([y(curves[title][sizes[-1]]) for title in lowest_first])
    for number, (title, height) in enumerate(zip(lowest_first, heights, strict=True)):
        colour = _COLOURS[number % len(_COLOURS)]
        drawing.line([(x(size), y(curves[title][size])) for size in sizes], colour, 2)
        drawing.text(_MARGIN + _WIDTH + 10, height + 4, f"{title}: {curves[title][sizes[-1]]:.2g} ms", colour=colour)
    return str(drawing)


def _apart(heights: Sequence[float]) -> list[float]:
    """Move labels, given from the bottom to the top, so far apart that each can be read."""
    placed: list[float] = []
    for height in heights:
        placed.append(min(height, placed[-1] - _SPACING) if placed else height)
    return placed
