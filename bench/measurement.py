"""What a case is: two subjects, what is measured of each, and the goal that was set for the ratio."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from bench.server import Server, Subject
from bench.site import Site

Sample = Mapping[str, float]
"""One round of one side: a value for each of the case's metrics."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What a metric should reach: at least, or at most; the ratio to the yardstick, or our own value."""

    bound: float
    is_minimum: bool = True
    of: Literal["ratio", "value"] = "ratio"

    def is_reached(self, ratio: float | None, value: float) -> bool | None:
        """Whether the medians reach it; ``None`` if there is no ratio to judge."""
        judged = ratio if self.of == "ratio" else value
        if judged is None:
            return None
        return judged >= self.bound if self.is_minimum else judged <= self.bound

    def __str__(self) -> str:
        return f"{'≥' if self.is_minimum else '≤'} {self.bound:,.10g}"


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure of a case; ``key`` is its name in a sample."""

    key: str
    unit: str
    goal: Goal | None = None
    is_compared: bool = True
    """Whether a ratio to the yardstick says anything."""


@dataclass(frozen=True, slots=True)
class Side:
    """Which of the two is being measured, and where it runs."""

    server: Server
    is_yardstick: bool


Measure = Callable[[Site, Side, float], Awaitable[Sample]]
"""Measures one side for about so many seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One line of the table."""

    name: str
    title: str
    ours: Subject
    theirs: Subject
    metrics: tuple[Metric, ...]
    measure: Measure
    needs_fresh_servers: bool = False
    skipped: str | None = None
    """Why it cannot be measured now."""
