"""Runner of cases: several rounds of both sides, which alternate in going first."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import uvloop

from bench.loads.window import LoadError
from bench.measurement import Case, Metric, Sample, Side
from bench.server import ServerError, Subject
from bench.site import Site
from bench.statistics import Spread, paired_ratio


@dataclass(slots=True)
class Outcome:
    """Outcome of a case's rounds; ``fault`` says why one or more of them have no result."""

    case: Case
    ours: list[Sample] = field(default_factory=list)
    theirs: list[Sample] = field(default_factory=list)
    fault: str | None = None

    @property
    def is_measured(self) -> bool:
        """True if at least one round has both sides."""
        return bool(self.ours)

    def spread_of_ours(self, metric: Metric) -> Spread:
        """Return the spread of the application's values."""
        return Spread.of([sample[metric.key] for sample in self.ours])

    def spread_of_theirs(self, metric: Metric) -> Spread:
        """Return the spread of the yardstick's values."""
        return Spread.of([sample[metric.key] for sample in self.theirs])

    def ratio(self, metric: Metric) -> Spread | None:
        """Return the spread of the ratios of ours to theirs; ``None`` if they are not compared."""
        theirs = [sample[metric.key] for sample in self.theirs]
        if not metric.is_compared or not all(theirs):
            return None
        return paired_ratio([sample[metric.key] for sample in self.ours], theirs)

    def is_reached(self, metric: Metric) -> bool | None:
        """Return whether the goal is reached; ``None`` without a goal."""
        if metric.goal is None:
            return None
        ratio = self.ratio(metric)
        return metric.goal.is_reached(None if ratio is None else ratio.median, self.spread_of_ours(metric).median)


def run(
    site: Site, cases: Sequence[Case], *, rounds: int, seconds: float, note: Callable[[str], None] | None = None
) -> list[Outcome]:
    """Measure the cases. A case that fails is reported as such, and the run goes on.

    Args:
        site: Environment of the run.
        cases: Cases to measure.
        rounds: Number of rounds, each with all cases.
        seconds: Time for each side of each case in each round.
        note: Called with lines about the progress.
    """
    note = note or (lambda line: print(line, file=sys.stderr, flush=True))
    outcomes = [Outcome(case, fault=case.skipped) for case in cases]
    for number in range(rounds):
        for outcome in outcomes:
            if outcome.fault is None:
                _measure(site, outcome, seconds, is_ours_first=number % 2 == 0)
                note(f"round {number + 1}/{rounds}  {_progress(outcome)}")
    return outcomes


def _measure(site: Site, outcome: Outcome, seconds: float, *, is_ours_first: bool) -> None:
    case = outcome.case
    sides = [(case.ours, False), (case.theirs, True)]
    found: dict[bool, Sample] = {}
    try:
        for subject, is_yardstick in sides if is_ours_first else reversed(sides):
            found[is_yardstick] = _measure_side(site, case, subject, seconds, is_yardstick=is_yardstick)
    except (LoadError, ServerError, OSError) as error:
        outcome.fault = f"{type(error).__name__}: {error}"
        return
    outcome.ours.append(found[False])
    outcome.theirs.append(found[True])


def _measure_side(site: Site, case: Case, subject: Subject, seconds: float, *, is_yardstick: bool) -> Sample:
    if case.needs_fresh_servers:
        with site.fresh(subject) as server:
            return _run(case, site, Side(server, is_yardstick), seconds)
    return _run(case, site, Side(site.server(subject), is_yardstick), seconds)


def _run(case: Case, site: Site, side: Side, seconds: float) -> Sample:
    # A new loop for each measurement, so that nothing of the one before is left.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_awaited(case, site, side, seconds))


async def _awaited(case: Case, site: Site, side: Side, seconds: float) -> Sample:
    return await case.measure(site, side, seconds)


def _progress(outcome: Outcome) -> str:
    if outcome.fault is not None:
        return f"{outcome.case.name}: {outcome.fault}"
    metric = outcome.case.metrics[0]
    ours, theirs = outcome.ours[-1][metric.key], outcome.theirs[-1][metric.key]
    return f"{outcome.case.name}: {ours:,.5g} against {theirs:,.5g} {metric.unit}"
