"""Bar chart of the ratios: one bar for each case, with its spread and the goal."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bench.drawing import INK, LINE, Drawing
from bench.runner import Outcome
from bench.statistics import Spread

_ROW: Final = 26
_LABELS: Final = 300
_PLOT: Final = 420
_MARGIN: Final = 24
_GREEN, _RED, _GREY = "#2e8b57", "#c0504d", "#7f8c9b"


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
    """Return the document."""
    scale = _PLOT / max([1.25, *(bar.ratio.largest * 1.05 for bar in shown)])
    width, height = _LABELS + _PLOT + 2 * _MARGIN + 40, _ROW * len(shown) + 2 * _MARGIN + 30
    drawing = Drawing(width, height, "Application over yardstick, median and spread of all rounds")
    left, top, bottom = _MARGIN + _LABELS, _MARGIN, _MARGIN + _ROW * len(shown)
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0):
        x = left + tick * scale
        if x <= left + _PLOT:
            drawing.line([(x, top), (x, bottom)], INK if tick == 1 else LINE)
            drawing.text(x, bottom + 16, f"{tick:g}", "middle")
    drawing.text(left, bottom + 34, "1 is the yardstick; a tick marks the goal, a line the spread of the rounds")
    for number, bar in enumerate(shown):
        _draw(drawing, bar, left, top + number * _ROW, scale)
    return str(drawing)


def _draw(drawing: Drawing, bar: Bar, left: float, top: float, scale: float) -> None:
    middle = top + _ROW / 2
    drawing.text(left - 8, middle + 4, bar.label, "end")
    drawing.rectangle(left, top + 6, bar.ratio.median * scale, _ROW - 12, bar.colour)
    drawing.line([(left + bar.ratio.smallest * scale, middle), (left + bar.ratio.largest * scale, middle)])
    if bar.goal is not None:
        goal = left + bar.goal * scale
        drawing.line([(goal, top + 2), (goal, top + _ROW - 2)], width=2)
    drawing.text(left + bar.ratio.largest * scale + 6, middle + 4, f"{bar.ratio.median:.2f}")
