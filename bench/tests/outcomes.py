"""Outcomes of invented cases."""

from bench.measurement import Case, Goal, Metric, Sample, Side
from bench.runner import Outcome
from bench.server import Subject
from bench.site import Site


async def unmeasured(_site: Site, _side: Side, _seconds: float) -> Sample:
    raise NotImplementedError


def case(name: str = "trivial", *, goal: Goal | None = None, skipped: str | None = None) -> Case:
    return Case(
        name=name,
        title=f"the case <{name}>",
        ours=Subject("application", "a:b"),
        theirs=Subject("echo", "c:d"),
        metrics=(Metric("rate", "packets/s", goal), Metric("busy", "% of a core", is_compared=False)),
        measure=unmeasured,
        skipped=skipped,
    )


def outcome(ours: list[float], theirs: list[float], *, goal: Goal | None = None, name: str = "trivial") -> Outcome:
    return Outcome(
        case(name, goal=goal),
        [{"rate": value, "busy": 99.0} for value in ours],
        [{"rate": value, "busy": 98.0} for value in theirs],
    )
