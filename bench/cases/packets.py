"""Cases that send packets as fast as they are answered: trivial, typed, in batches, with a page, with a new row."""

import time
from dataclasses import replace
from typing import Final

from bench.cases.subjects import APPLICATION, ECHO, RAW_DATABASE
from bench.loads import sockets
from bench.loads.sockets import MakeFrames
from bench.loads.window import Throughput
from bench.measurement import Case, Goal, Measure, Metric, Sample, Side
from bench.numbers import CREATE, FIRST_OF_MANY, HANDLERS_VARIABLE, PAGE, TRIVIAL, TYPED
from bench.packets import TYPED as TYPED_DATA
from bench.packets import Frames, constant, creations, in_turn
from bench.server import Subject
from bench.site import Site

CONNECTIONS: Final = 50
PER_PAGE: Final = 20
BATCH: Final = 16

_HANDLERS: Final = (10, 100, 1000)


def trivial(_: int) -> Frames:
    """Make trivial packets."""
    return constant(TRIVIAL, {})


def typed(_: int) -> Frames:
    """Make packets with ten fields."""
    return constant(TYPED, TYPED_DATA)


def batched(_: int) -> Frames:
    """Make batches of trivial packets."""
    return constant(TRIVIAL, {}, batch=BATCH)


def sample(seen: Throughput) -> Sample:
    """Return a sample of ``throughput``."""
    return {"rate": seen.rate, "cpu": seen.cpu_microseconds, "busy": 100 * seen.busy}


def throughput(unit: str, goal: Goal | None = None, cpu: Goal | None = None) -> tuple[Metric, ...]:
    """Return the metrics of units per second."""
    return (
        Metric("rate", f"{unit}s/s", goal),
        Metric("cpu", f"server µs/{unit}", cpu),
        Metric("busy", "% of a core", is_compared=False),
    )


def packet_case(
    name: str,
    title: str,
    ours: Subject,
    theirs: Subject,
    make_frames: MakeFrames = trivial,
    their_frames: MakeFrames | None = None,
    *,
    goal: Goal | None = None,
    connections: int = CONNECTIONS,
) -> Case:
    """Make a case of packets per second. Both sides get the same frames, unless theirs are named."""
    return Case(
        name=name,
        title=title,
        ours=ours,
        theirs=theirs,
        metrics=throughput("packet", goal),
        measure=_saturating(make_frames, their_frames or make_frames, connections),
    )


def _saturating(make_frames: MakeFrames, their_frames: MakeFrames, connections: int) -> Measure:
    async def measure(site: Site, side: Side, seconds: float) -> Sample:
        frames = their_frames if side.is_yardstick else make_frames
        seen = await sockets.saturate(side.server, site.token, frames, connections=connections, seconds=seconds)
        return sample(seen)

    return measure


def _typed_msgpack(_: int) -> Frames:
    return constant(TYPED, TYPED_DATA, codec="msgpack")


def _page(_: int) -> Frames:
    return constant(PAGE, {"page": 3, "per_page": PER_PAGE})


def _creations(number: int) -> Frames:
    # Unique over all rounds and sides; the table is emptied after each, but a late one may slip through.
    return creations(CREATE, f"{time.monotonic_ns()}-{number}")


def _create_case() -> Case:
    case = packet_case("create", "create and commit, durable", APPLICATION, RAW_DATABASE, _creations, goal=Goal(0.6))

    async def measure(site: Site, side: Side, seconds: float) -> Sample:
        try:
            return await case.measure(site, side, seconds)
        finally:
            await site.refill()

    return replace(case, measure=measure)


def _handlers(number: int) -> Subject:
    if number == _HANDLERS[0]:
        return APPLICATION
    return replace(APPLICATION, name=f"application, {number} handlers", environ={HANDLERS_VARIABLE: str(number)})


def _in_turn(number: int) -> MakeFrames:
    return lambda _: in_turn(range(FIRST_OF_MANY, FIRST_OF_MANY + number))


def _handlers_case(number: int) -> Case:
    is_first = number == _HANDLERS[0]
    return packet_case(
        f"handlers-{number}",
        f"{number:,} handlers, each in turn",
        _handlers(number),
        ECHO if is_first else APPLICATION,
        _in_turn(number),
        _in_turn(_HANDLERS[0]),
        goal=None if is_first else Goal(0.95),
    )


PACKETS: Final = (
    packet_case("trivial", "trivial packet", APPLICATION, ECHO, goal=Goal(0.9)),
    packet_case("typed", "packet with ten typed fields", APPLICATION, ECHO, typed, goal=Goal(0.85)),
    packet_case(
        "batch-16",
        f"batches of {BATCH} trivial packets",
        APPLICATION,
        ECHO,
        batched,
        goal=Goal(100_000, of="value"),
    ),
    packet_case(
        "batch-64",
        "batches of 64 trivial packets",
        APPLICATION,
        ECHO,
        lambda _: constant(TRIVIAL, {}, batch=64),
    ),
    packet_case("msgpack", "packet with ten typed fields, MessagePack", APPLICATION, ECHO, _typed_msgpack),
    packet_case("connections-1", "trivial packet, 1 connection", APPLICATION, ECHO, connections=1),
    packet_case("connections-500", "trivial packet, 500 connections", APPLICATION, ECHO, connections=500),
    *(_handlers_case(number) for number in _HANDLERS),
)
DATABASE: Final = (
    packet_case("page", f"page of {PER_PAGE} with total", APPLICATION, RAW_DATABASE, _page, goal=Goal(0.9)),
    _create_case(),
)
