"""Cases of several workers, which share a core with the load where there are two."""

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from bench.cases.packets import CONNECTIONS, packet_case, sample, throughput, trivial
from bench.cases.subjects import APPLICATION, ECHO, PICOWS, SECOND_DOOR, several
from bench.loads import sockets
from bench.measurement import Case, Goal, Metric, Sample, Side
from bench.server import Subject
from bench.site import Site

TWO: Final = 2

_allowed: Callable[[int], set[int]] = getattr(os, "sched_getaffinity", lambda _: set())
# Read before the bench binds itself to the load's cores.
_CORES: Final = sorted(_allowed(0))[:TWO]


def _bound(subject: Subject) -> Subject:
    cores = ",".join(map(str, _CORES))
    return replace(subject, name=f"{subject.name}, bound", environ={"WORKER_CPUS": cores})


def _bound_case(name: str, title: str, subject: Subject) -> Case:
    case = packet_case(name, title, _bound(subject), subject)
    return case if len(_CORES) == TWO else replace(case, skipped="workers cannot be bound to two cores here")


def _gain_case(name: str, title: str, ours: Subject, theirs: Subject) -> Case:
    """Make a case of what two workers do beside one of the same kind."""

    async def measure(site: Site, side: Side, seconds: float) -> Sample:
        alone = site.server(theirs if side.is_yardstick else ours)
        one, two = [
            await sockets.saturate(server, site.token, trivial, connections=CONNECTIONS, seconds=seconds)
            for server in (alone, side.server)
        ]
        return {**sample(two), "gain": two.rate / one.rate}

    return Case(
        name=name,
        title=title,
        ours=several(ours, TWO),
        theirs=several(theirs, TWO),
        metrics=(Metric("gain", "times one worker", Goal(1.0)), *throughput("packet")),
        measure=measure,
    )


WORKERS: Final = (
    packet_case("workers-2", "trivial packet, 2 workers", several(APPLICATION, TWO), several(ECHO, TWO)),
    _bound_case("workers-2-bound", "trivial packet, 2 workers, bound to cores or not", several(APPLICATION, TWO)),
)
DOOR_WORKERS: Final = (
    _gain_case("door-workers-2", "trivial packet, 2 workers, second door", SECOND_DOOR, PICOWS),
    _bound_case(
        "door-workers-2-bound",
        "trivial packet, 2 workers, bound to cores or not, second door",
        several(SECOND_DOOR, TWO),
    ),
)
