"""Cases of connections: handshakes, latency, and memory while they are idle."""

from dataclasses import replace
from typing import Final

from bench.cases.packets import CONNECTIONS, sample, throughput, trivial
from bench.cases.subjects import APPLICATION, ECHO
from bench.dialects import Exchange
from bench.loads import handshakes, sockets
from bench.loads.sockets import MakeFrames
from bench.measurement import Case, Goal, Metric, Sample, Side
from bench.server import Subject
from bench.site import Site
from bench.statistics import percentile

HANDSHAKES_PER_SECOND: Final = 2000
"""For each second of the measurement; what a server does in it is measured."""
IDLE_CONNECTIONS: Final = 10_000


def handshake_case(
    name: str,
    title: str,
    ours: Subject,
    theirs: Subject,
    their_frames: MakeFrames = trivial,
    *,
    cpu: Goal | None = None,
) -> Case:
    """Make a case of clients that connect, each with a token of its own, have one packet answered, and leave."""

    async def measure(site: Site, side: Side, seconds: float) -> Sample:
        """Measure one side."""
        number = int(HANDSHAKES_PER_SECOND * seconds)
        # To sign tokens takes longer than to measure. An echo does not look at them.
        tokens = [site.token] * number if side.server.subject.dialect.is_echo else site.new_tokens(number)
        frames = (their_frames if side.is_yardstick else trivial)(0)
        return sample(await handshakes.storm(side.server, tokens, frames))

    return Case(
        name=name,
        title=title,
        ours=ours,
        theirs=theirs,
        metrics=throughput("handshake", cpu=cpu),
        measure=measure,
    )


def _latency_case() -> Case:
    # Both sides get the same rate: half of what the application does alone.
    rates: list[float] = []

    async def measure(site: Site, side: Side, seconds: float) -> Sample:
        if not rates:
            application = site.server(APPLICATION)
            seen = await sockets.saturate(application, site.token, trivial, connections=CONNECTIONS, seconds=1)
            rates.append(seen.rate / 2)
        latencies = await sockets.pace(
            side.server, site.token, trivial, rate=rates[0], connections=CONNECTIONS, seconds=seconds
        )
        return {
            "p50": percentile(latencies, 0.5) * 1e6,
            "p99": percentile(latencies, 0.99) * 1e6,
            "rate": rates[0],
        }

    return Case(
        name="latency",
        title="latency at half load, trivial packet",
        ours=APPLICATION,
        theirs=ECHO,
        metrics=(
            Metric("p50", "µs, p50"),
            Metric("p99", "µs, p99"),
            Metric("rate", "packets/s offered", is_compared=False),
        ),
        measure=measure,
    )


def round_trip_case(
    name: str,
    title: str,
    ours: Subject,
    theirs: Subject,
    their_frames: MakeFrames = trivial,
    *,
    goal: Goal | None = None,
) -> Case:
    """Make a case of one client that sends a packet whenever the one before is answered."""

    async def measure(site: Site, side: Side, seconds: float) -> Sample:
        """Measure one side."""
        frames = their_frames if side.is_yardstick else trivial
        seen, latencies = await sockets.round_trips(side.server, site.token, frames, seconds=seconds)
        return {
            "p50": percentile(latencies, 0.5) * 1e6,
            "p99": percentile(latencies, 0.99) * 1e6,
            "cpu": seen.cpu_microseconds,
        }

    return Case(
        name=name,
        title=title,
        ours=ours,
        theirs=theirs,
        metrics=(Metric("p50", "µs, p50", goal), Metric("p99", "µs, p99"), Metric("cpu", "server µs/packet")),
        measure=measure,
    )


def idle_case(
    name: str,
    title: str,
    ours: Subject,
    theirs: Subject,
    their_frames: MakeFrames = trivial,
    *,
    subscriptions: tuple[Exchange, Exchange] | None = None,
    goal: Goal | None = None,
) -> Case:
    """Make a case of connections that are silent after one answer, or subscribed: ours is the first subscription."""

    async def measure(site: Site, side: Side, _: float) -> Sample:
        """Measure one side."""
        frames = their_frames if side.is_yardstick else trivial
        subscription = None if subscriptions is None else subscriptions[side.is_yardstick]
        # Some connections first, so that the cost of the very first is not part of the cost of each.
        async with sockets.idle(side.server, site.token, frames, subscription, connections=100):
            before, held = side.server.memory_bytes(), await site.database_connections()
            async with sockets.idle(side.server, site.token, frames, subscription, connections=IDLE_CONNECTIONS):
                grown = side.server.memory_bytes() - before
                held = await site.database_connections() - held
        return {"memory": grown / IDLE_CONNECTIONS / 1024, "database": held}

    return Case(
        name=name,
        title=title,
        ours=replace(ours, name=f"{ours.name}, idle"),
        theirs=replace(theirs, name=f"{theirs.name}, idle"),
        metrics=(
            Metric("memory", "KiB/connection", goal),
            Metric("database", "more database connections", is_compared=False),
        ),
        measure=measure,
        needs_fresh_servers=True,
    )


CONNECTING: Final = (
    handshake_case("handshake", "handshake with a new token, one packet, close", APPLICATION, ECHO),
    _latency_case(),
)
IDLE: Final = (
    idle_case("idle", f"{IDLE_CONNECTIONS:,} idle connections", APPLICATION, ECHO, goal=Goal(1.3, is_minimum=False)),
)
