"""``python -m bench.profile``: profile of a packet and of a request.

The table combines two measurements. Real servers give the processor time of a packet, for yardstick and application. In
this process, without a server, ``cProfile`` gives the shares of the modules in the application's part. The time of that
part is measured without the profiler, which makes small functions look expensive. The rest belongs to the server: its
sockets, and the threads that wake each other.
"""

import argparse
import asyncio
import cProfile
import io
import os
import pstats
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any, Final

import uvloop

from bench import application
from bench.cases import CASES
from bench.cases.packets import CONNECTIONS, PER_PAGE
from bench.cases.requests import GUARDED_PATH, PAGE_PATH
from bench.cores import pin
from bench.in_process import Send, packets, requests
from bench.measurement import Side
from bench.numbers import PAGE, TRIVIAL, TYPED
from bench.packets import TYPED as TYPED_DATA
from bench.packets import Frames, constant
from bench.server import Subject
from bench.site import Site, site
from starpost.observability.logs import configure_logs
from starpost.server import DrainSignal
from starpost.server.collector import settle

REPEATS: Final = 5

LEAST: Final = 0.003
"""Smallest share of the application's part that is shown."""

_STEPS: Final = (
    ("/starpost/connections/outbox.py", "outbox: hand the reply over"),
    ("/starpost/connections/limits.py", "limits: rate"),
    ("/starpost/connections/", "connection: read, size, order, deadline"),
    ("/starpost/protocol/", "protocol: frame, envelope, text"),
    ("/starpost/observability/correlation.py", "correlation"),
    ("/starpost/observability/metrics.py", "metrics"),
    ("/starpost/observability/timings.py", "metrics"),
    ("/starpost/observability/http.py", "middleware: correlation, metrics, headers"),
    ("/starpost/observability/", "access log"),
    ("/starpost/auth/redaction.py", "access log"),
    ("/starpost/auth/", "authentication"),
    ("/starpost/rbac/", "permission"),
    ("/starpost/di/", "dependencies"),
    ("/starpost/packets/", "dispatcher: find, permit, decode, encode"),
    ("/starpost/http/", "route handler: parameters, encode"),
    ("/starpost/db/", "database: connection, statement, rows"),
    ("bench/authors.py", "the domain's handler and service"),
    ("bench/application.py", "handler"),
    ("/litestar/", "Litestar"),
    ("/sqlalchemy/", "SQLAlchemy"),
    ("/advanced_alchemy/", "SQLAlchemy"),
    ("/asyncpg/", "asyncpg"),
)
"""Steps by path of the file; the first match counts."""

_OWN_FILES: Final = ("bench/profile.py", "bench/in_process.py")


@dataclass(frozen=True, slots=True)
class Kind:
    """Kind of packet or request to profile."""

    case: str
    """Case of the bench that sends the same to real servers."""
    send: Send
    count: int
    """Frames or requests in each run."""
    packets: int = 1
    """Packets in each frame."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Profile of one kind of packet or request."""

    microseconds: float
    """Processor time of the application's own part, for each packet."""
    shares: dict[str, float]
    """Shares of that time, by step; their sum is 1."""


def _packets(frames: Frames) -> Send:
    return packets(frames, sockets=CONNECTIONS)


KINDS: Final = (
    Kind("trivial", _packets(constant(TRIVIAL, {})), 20_000),
    Kind("typed", _packets(constant(TYPED, TYPED_DATA)), 20_000),
    Kind("batch-16", _packets(constant(TRIVIAL, {}, batch=16)), 20_000, packets=16),
    Kind("page", _packets(constant(PAGE, {"page": 3, "per_page": PER_PAGE})), 5_000),
    Kind("http-guarded", requests(GUARDED_PATH, clients=CONNECTIONS), 10_000),
    Kind("http-page", requests(PAGE_PATH, clients=CONNECTIONS), 5_000),
)


async def profile(token: str, kind: Kind, *, repeats: int = REPEATS) -> Profile:
    """Profile the application of the environment's settings, whose services must be running.

    Args:
        token: Token of a user who may send it.
        kind: Kind of packet or request.
        repeats: Number of runs, of which the quickest counts.

    Raises:
        bench.in_process.RefusedError: The application refused.
    """
    # Logs are configured as in a worker, since writing them is part of the cost.
    configure_logs("INFO", "json")
    with redirect_stdout(io.StringIO()):
        app = application.create(DrainSignal())
        async with app.lifespan():
            settle()
            seconds = min([await kind.send(app, token, kind.count, None) for _ in range(repeats)])
            profiler = cProfile.Profile()
            await kind.send(app, token, kind.count, profiler)
    times = by_step(profiler)
    whole = sum(times.values())
    return Profile(
        seconds / kind.count / kind.packets * 1e6, {step: spent / whole for step, spent in times.most_common()}
    )


def by_step(profiler: cProfile.Profile) -> Counter[str]:
    """Return seconds by step. Functions in C count for their caller; the harness is left out."""
    found: Counter[str] = Counter()
    stats: dict[tuple[str, int, str], Any] = pstats.Stats(profiler).stats  # type: ignore[attr-defined]
    for (file, _, _), (_, _, own, _, callers) in stats.items():
        if file != "~":
            found[step_of(file)] += own
            continue
        for (calling_file, _, _), (_, _, own_there, _) in callers.items():
            found[step_of(calling_file)] += own_there
    found.pop("", None)
    return found


def step_of(file: str) -> str:
    """Return the step of a source file; empty for the harness."""
    path = file.replace(os.sep, "/")
    if path.endswith(_OWN_FILES):
        return ""
    return next((step for part, step in _STEPS if part in path), "other libraries and event loop")


async def _measured(surroundings: Site, name: str, seconds: float) -> tuple[float, float]:
    """Measure processor microseconds of a packet on real servers: the yardstick's, the application's."""
    case = CASES[name]

    async def measure(subject: Subject, *, is_yardstick: bool) -> float:
        side = Side(surroundings.server(subject), is_yardstick)
        return (await case.measure(surroundings, side, seconds))["cpu"]

    return await measure(case.theirs, is_yardstick=True), await measure(case.ours, is_yardstick=False)


def _show(kind: Kind, yardstick: float, whole: float, found: Profile) -> None:
    case = CASES[kind.case]
    rows = [(step, share * found.microseconds) for step, share in found.shares.items() if share >= LEAST]
    rows.append(("server: socket, waking and resuming", whole - found.microseconds))
    print(f"\n{case.title}: {whole:.1f} µs of the server's processor time ({case.theirs.name}: {yardstick:.1f} µs)\n")
    for step, spent in rows:
        print(f"  {step:<44} {spent:7.2f} µs  {spent / whole:6.1%}  {'█' * max(0, round(40 * spent / whole))}".rstrip())


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="profile", description="Show where a packet's and a request's time goes.")
    parser.add_argument("--seconds", type=float, default=2.0, help="on the real servers; default: 2")
    options = parser.parse_args(arguments)
    with site(is_pinned=True) as surroundings, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        measured = [runner.run(_measured(surroundings, kind.case, options.seconds)) for kind in KINDS]
        os.environ.update(surroundings.environ)
        # On the core of the servers, which are idle now; PostgreSQL stays on the other cores.
        pin(surroundings.cores.server)
        for kind, (yardstick, whole) in zip(KINDS, measured, strict=True):
            _show(kind, yardstick, whole, runner.run(profile(surroundings.token, kind)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
