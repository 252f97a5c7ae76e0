"""Report of outcomes, as a table and as JSON."""

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from bench.cases.requests import HTTP_LOAD
from bench.runner import Outcome
from bench.statistics import Spread

_HEAD: Final = ("case", "", "application", "yardstick", "ratio", "goal", "")
_PACKAGES: Final = ("granian", "litestar", "msgspec", "asyncpg", "sqlalchemy", "uvloop", "picows")


def table(outcomes: Sequence[Outcome]) -> str:
    """Return a table in Markdown: median, smallest and largest of each metric of each case."""
    rows: list[Sequence[str]] = [_HEAD]
    for outcome in outcomes:
        rows += _rows(outcome)
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def _rows(outcome: Outcome) -> list[Sequence[str]]:
    case = outcome.case
    if not outcome.is_measured:
        return [(case.title, "", (outcome.fault or "not measured").splitlines()[0][:80], "", "", "", "")]
    rows: list[Sequence[str]] = []
    for number, metric in enumerate(case.metrics):
        theirs, ratio, is_reached = outcome.spread_of_theirs(metric), outcome.ratio(metric), outcome.is_reached(metric)
        rows.append(
            (
                "" if number else case.title,
                metric.unit,
                _spread(outcome.spread_of_ours(metric)),
                f"{_spread(theirs)} {case.theirs.name if not number else ''}".rstrip(),
                "" if ratio is None else f"{ratio.median:.2f} ({ratio.smallest:.2f} … {ratio.largest:.2f})",
                "" if metric.goal is None else str(metric.goal),
                {None: "", True: "reached", False: "missed"}[is_reached],
            )
        )
    return rows


def _spread(spread: Spread) -> str:
    return f"{_number(spread.median)} ({_number(spread.smallest)} … {_number(spread.largest)})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def record(outcomes: Sequence[Outcome], *, rounds: int, seconds: float, is_pinned: bool) -> dict[str, Any]:
    """Return all measurements of every round, with a description of the machine."""
    return {
        "machine": {
            "cpu": _cpu(),
            "cores": os.cpu_count(),
            "system": f"{platform.system()} {platform.release()}",
            "python": platform.python_version(),
            "packages": {name: version(name) for name in _PACKAGES},
        },
        "rounds": rounds,
        "seconds": seconds,
        "pinned": is_pinned,
        "http_load": HTTP_LOAD,
        "cases": {
            outcome.case.name: {
                "title": outcome.case.title,
                "yardstick": outcome.case.theirs.name,
                "fault": outcome.fault,
                "metrics": {
                    metric.key: {
                        "unit": metric.unit,
                        "ours": [sample[metric.key] for sample in outcome.ours],
                        "theirs": [sample[metric.key] for sample in outcome.theirs],
                        "ratio": ratio.median if (ratio := outcome.is_measured and outcome.ratio(metric)) else None,
                        "goal": None if metric.goal is None else str(metric.goal),
                        "reached": outcome.is_reached(metric) if outcome.is_measured else None,
                    }
                    for metric in outcome.case.metrics
                },
            }
            for outcome in outcomes
        },
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
