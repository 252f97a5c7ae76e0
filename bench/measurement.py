"""Case of the benchmark: two subjects, the metrics of each, and the goal for their ratio."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from bench.server import Server, Subject
from bench.site import Site

Sample = Mapping[str, float]
"""Sample of one round and one side: a value for each metric of the case."""


@dataclass(frozen=True, slots=True)
class Goal:
    """Goal of a metric: a lower or upper bound of the ratio to the yardstick, or of our own value."""

    bound: float
    is_minimum: bool = True
    of: Literal["ratio", "value"] = "ratio"
    alternative: "Goal | None" = None
    """Goal that is as good."""

    def is_reached(self, ratio: float | None, value: float) -> bool | None:
        """Return whether the medians reach the goal; ``None`` if there is no ratio."""
        if self.alternative is not None and self.alternative.is_reached(ratio, value):
            return True
        judged = ratio if self.of == "ratio" else value
        if judged is None:
            return None
        return judged >= self.bound if self.is_minimum else judged <= self.bound

    def __str__(self) -> str:
        own = f"{'≥' if self.is_minimum else '≤'} {self.bound:,.10g}"
        if self.alternative is None:
            return own
        return f"{own}, or {self.alternative}{' times' if self.alternative.of == 'ratio' else ''}"


@dataclass(frozen=True, slots=True)
class Metric:
    """Metric of a case; ``key`` is its name in a sample."""

    key: str
    unit: str
    goal: Goal | None = None
    is_compared: bool = True
    """True if a ratio to the yardstick makes sense."""


@dataclass(frozen=True, slots=True)
class Side:
    """Side that is measured: application or yardstick, with its server."""

    server: Server
    is_yardstick: bool


Measure = Callable[[Site, Side, float], Awaitable[Sample]]
"""Measures one side for about the given seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Case: one line of the table."""

    name: str
    title: str
    ours: Subject
    theirs: Subject
    metrics: tuple[Metric, ...]
    measure: Measure
    needs_fresh_servers: bool = False
    skipped: str | None = None
    """Reason for which it cannot be measured now."""
