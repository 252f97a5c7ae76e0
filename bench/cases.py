"""Cases of the benchmark, in the order of the table."""

import time
from dataclasses import replace
from typing import Final

from bench.loads import handshakes, http, sockets, wrk
from bench.loads.sockets import EVENT_MARK, MakeFrames
from bench.loads.window import Throughput
from bench.measurement import Case, Goal, Measure, Metric, Sample, Side
from bench.numbers import ANNOUNCE, CREATE, FIRST_OF_MANY, HANDLERS_VARIABLE, PAGE, TOPIC, TRIVIAL, TYPED
from bench.packets import TYPED as TYPED_DATA
from bench.packets import Frames, constant, creations, encode, in_turn, packet
from bench.server import Subject
from bench.site import Site
from bench.statistics import percentile
from starpost.packets import SystemPacket

CONNECTIONS: Final = 50
HANDSHAKES_PER_SECOND: Final = 2000
"""For each second of the measurement; what a server does in it is measured."""
IDLE_CONNECTIONS: Final = 10_000
PER_PAGE: Final = 20
GUARDED_PATH: Final = "/bench/small"
PAGE_PATH: Final = f"/authors?page=3&per_page={PER_PAGE}"
HTTP_LOAD, _saturate = ("own client", http.saturate) if wrk.PROGRAM is None else ("wrk", wrk.saturate)
"""Name of the HTTP client, for the record, and its function."""

APPLICATION: Final = Subject("application", "bench.application:create")
ECHO: Final = Subject("echo", "bench.yardsticks.echo:create")
BROADCAST: Final = Subject("bare broadcast", "bench.yardsticks.broadcast:create")
SECOND_DOOR: Final = replace(APPLICATION, name="application, second door", uses_second_door=True)
PICOWS: Final = Subject("bare picows", "bench.yardsticks.picows_echo:create", uses_second_door=True)
PICOWS_BROADCAST: Final = Subject(
    "bare picows broadcast", "bench.yardsticks.picows_echo:broadcast", uses_second_door=True
)
RAW_DATABASE: Final = Subject("raw asyncpg", "bench.yardsticks.database:create")
OPEN_LITESTAR: Final = Subject("open Litestar", "bench.yardsticks.open_litestar:create")

_HANDLERS: Final = (10, 100, 1000)


def _trivial(_: int) -> Frames:
    return constant(TRIVIAL, {})


def _typed(_: int) -> Frames:
    return constant(TYPED, TYPED_DATA)


def _page(_: int) -> Frames:
    return constant(PAGE, {"page": 3, "per_page": PER_PAGE})


def _creations(number: int) -> Frames:
    # Unique over all rounds and sides; the table is emptied after each, but a late one may slip through.
    return creations(CREATE, f"{time.monotonic_ns()}-{number}")


def _sample(seen: Throughput) -> Sample:
    return {"rate": seen.rate, "cpu": seen.cpu_microseconds, "busy": 100 * seen.busy}


def _throughput(unit: str, goal: Goal | None) -> tuple[Metric, ...]:
    return (
        Metric("rate", f"{unit}s/s", goal),
        Metric("cpu", f"server µs/{unit}"),
        Metric("busy", "% of a core", is_compared=False),
    )


def _socket_measure(make_frames: MakeFrames, connections: int, *, is_against_echo: bool) -> Measure:
    async def measure(site: Site, side: Side, seconds: float) -> Sample:
        is_echo = side.is_yardstick and is_against_echo
        return _sample(
            await sockets.saturate(
                side.server, site.token, make_frames, connections=connections, seconds=seconds, is_echo=is_echo
            )
        )

    return measure


def _socket_case(
    name: str,
    title: str,
    make_frames: MakeFrames,
    *,
    goal: Goal | None = None,
    connections: int = CONNECTIONS,
    ours: Subject = APPLICATION,
    theirs: Subject = ECHO,
) -> Case:
    return Case(
        name=name,
        title=title,
        ours=ours,
        theirs=theirs,
        metrics=_throughput("packet", goal),
        measure=_socket_measure(
            make_frames, connections, is_against_echo=theirs.target in (ECHO.target, PICOWS.target)
        ),
    )


def _second_door_case(name: str, title: str, make_frames: MakeFrames, *, connections: int = CONNECTIONS) -> Case:
    return _socket_case(name, title, make_frames, connections=connections, ours=SECOND_DOOR, theirs=PICOWS)


def _create_case() -> Case:
    saturate = _socket_measure(_creations, CONNECTIONS, is_against_echo=False)

    async def measure(site: Site, side: Side, seconds: float) -> Sample:
        try:
            return await saturate(site, side, seconds)
        finally:
            await site.refill()

    return Case(
        name="create",
        title="create and commit, durable",
        ours=APPLICATION,
        theirs=RAW_DATABASE,
        metrics=_throughput("packet", Goal(0.6)),
        measure=measure,
    )


def _http_case(name: str, title: str, path: str, goal: Goal) -> Case:
    async def measure(site: Site, side: Side, seconds: float) -> Sample:
        return _sample(await _saturate(side.server, path, site.token, connections=CONNECTIONS, seconds=seconds))

    return Case(
        name=name,
        title=title,
        ours=APPLICATION,
        theirs=OPEN_LITESTAR,
        metrics=_throughput("request", goal),
        measure=measure,
    )


def _handshake_case() -> Case:
    async def measure(site: Site, side: Side, seconds: float) -> Sample:
        number = int(HANDSHAKES_PER_SECOND * seconds)
        # To sign tokens takes longer than to measure. The echo does not look at them.
        tokens = [site.token] * number if side.is_yardstick else site.new_tokens(number)
        return _sample(await handshakes.storm(side.server, tokens, _trivial(0), is_echo=side.is_yardstick))

    return Case(
        name="handshake",
        title="handshake with a new token, one packet, close",
        ours=APPLICATION,
        theirs=ECHO,
        metrics=_throughput("handshake", None),
        measure=measure,
    )


def _latency_case() -> Case:
    # Both sides get the same rate: half of what the application does alone.
    rates: list[float] = []

    async def measure(site: Site, side: Side, seconds: float) -> Sample:
        if not rates:
            application = site.server(APPLICATION)
            seen = await sockets.saturate(
                application, site.token, _trivial, connections=CONNECTIONS, seconds=1, is_echo=False
            )
            rates.append(seen.rate / 2)
        latencies = await sockets.pace(
            side.server,
            site.token,
            _trivial,
            rate=rates[0],
            connections=CONNECTIONS,
            seconds=seconds,
            is_echo=side.is_yardstick,
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


def _idle_case(*, name: str = "idle", ours: Subject = APPLICATION, theirs: Subject = ECHO) -> Case:
    async def measure(site: Site, side: Side, _: float) -> Sample:
        # One connection first, so that the cost of the very first is not part of the cost of each.
        async with sockets.idle(side.server, site.token, _trivial, connections=100, is_echo=side.is_yardstick):
            before, held = side.server.memory_bytes(), await site.database_connections()
            async with sockets.idle(
                side.server, site.token, _trivial, connections=IDLE_CONNECTIONS, is_echo=side.is_yardstick
            ):
                grown = side.server.memory_bytes() - before
                held = await site.database_connections() - held
        return {"memory": grown / IDLE_CONNECTIONS / 1024, "database": held}

    return Case(
        name=name,
        title=f"{IDLE_CONNECTIONS:,} idle connections" + (", second door" if ours.uses_second_door else ""),
        ours=replace(ours, name=f"{ours.name}, idle"),
        theirs=replace(theirs, name=f"{theirs.name}, idle"),
        metrics=(
            Metric("memory", "KiB/connection", None if ours.uses_second_door else Goal(1.3, is_minimum=False)),
            Metric("database", "more database connections", is_compared=False),
        ),
        measure=measure,
        needs_fresh_servers=True,
    )


def _handlers(number: int) -> Subject:
    if number == _HANDLERS[0]:
        return APPLICATION
    return replace(APPLICATION, name=f"application, {number} handlers", environ={HANDLERS_VARIABLE: str(number)})


def _handlers_case(number: int) -> Case:
    def make_frames(_: int) -> Frames:
        return in_turn(range(FIRST_OF_MANY, FIRST_OF_MANY + number))

    def ten(_: int) -> Frames:
        return in_turn(range(FIRST_OF_MANY, FIRST_OF_MANY + _HANDLERS[0]))

    case = _socket_case(
        f"handlers-{number}",
        f"{number:,} handlers, each in turn",
        make_frames,
        ours=_handlers(number),
        theirs=ECHO if number == _HANDLERS[0] else APPLICATION,
        goal=None if number == _HANDLERS[0] else Goal(0.95),
    )
    if number == _HANDLERS[0]:
        return case

    async def measure(site: Site, side: Side, seconds: float) -> Sample:
        frames = ten if side.is_yardstick else make_frames
        return await _socket_measure(frames, CONNECTIONS, is_against_echo=False)(site, side, seconds)

    return replace(case, measure=measure)


def _fan_out_case(
    subscribers: int, *, name: str = "fan-out", ours: Subject = APPLICATION, theirs: Subject = BROADCAST
) -> Case:
    announcement = {"number": 1, "text": EVENT_MARK.decode()}
    subscription = encode("json", packet(SystemPacket.SUBSCRIBE, {"topic": TOPIC}))

    async def measure(site: Site, side: Side, seconds: float) -> Sample:
        seen, until_the_last = await sockets.fan_out(
            side.server,
            site.token,
            constant(ANNOUNCE, announcement),
            None if side.is_yardstick else subscription,
            subscribers=subscribers,
            seconds=seconds,
        )
        return {**_sample(seen), "last": until_the_last * 1000}

    return Case(
        name=f"{name}-{subscribers}",
        title=f"one event to {subscribers:,} subscribers" + (", second door" if ours.uses_second_door else ""),
        ours=ours,
        theirs=theirs,
        metrics=(
            Metric("rate", "deliveries/s"),
            Metric("cpu", "server µs/delivery"),
            Metric("last", "ms to the last"),
        ),
        measure=measure,
    )


CASES: Final[dict[str, Case]] = {
    case.name: case
    for case in (
        _socket_case("trivial", "trivial packet", _trivial, goal=Goal(0.9)),
        _socket_case("typed", "packet with ten typed fields", _typed, goal=Goal(0.85)),
        _socket_case(
            "batch-16",
            "batches of 16 trivial packets",
            lambda _: constant(TRIVIAL, {}, batch=16),
            goal=Goal(100_000, of="value"),
        ),
        _socket_case("batch-64", "batches of 64 trivial packets", lambda _: constant(TRIVIAL, {}, batch=64)),
        _socket_case(
            "msgpack",
            "packet with ten typed fields, MessagePack",
            lambda _: constant(TYPED, TYPED_DATA, codec="msgpack"),
        ),
        _socket_case("connections-1", "trivial packet, 1 connection", _trivial, connections=1),
        _socket_case("connections-500", "trivial packet, 500 connections", _trivial, connections=500),
        *(_handlers_case(number) for number in _HANDLERS),
        _socket_case(
            "workers-2",
            "trivial packet, 2 workers",
            _trivial,
            ours=replace(APPLICATION, name="application, 2 workers", workers=2),
            theirs=replace(ECHO, name="echo, 2 workers", workers=2),
        ),
        _handshake_case(),
        _latency_case(),
        _socket_case("page", f"page of {PER_PAGE} with total", _page, goal=Goal(0.9), theirs=RAW_DATABASE),
        _create_case(),
        _http_case("http-guarded", "HTTP, guarded, no database", GUARDED_PATH, Goal(0.6)),
        _http_case("http-page", "HTTP, page of 20 with total", PAGE_PATH, Goal(0.9)),
        _idle_case(),
        *(_fan_out_case(number) for number in (100, 1000, 5000)),
        _second_door_case("door-trivial", "trivial packet, second door", _trivial),
        _second_door_case("door-typed", "packet with ten typed fields, second door", _typed),
        _second_door_case("door-500", "trivial packet, 500 connections, second door", _trivial, connections=500),
        _idle_case(name="door-idle", ours=SECOND_DOOR, theirs=PICOWS),
        *(
            _fan_out_case(number, name="door-fan-out", ours=SECOND_DOOR, theirs=PICOWS_BROADCAST)
            for number in (100, 1000)
        ),
    )
}
"""Cases by name."""
