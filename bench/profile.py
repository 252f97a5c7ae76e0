"""``python -m bench.profile``: where the time of a packet and of a request goes.

Two measurements, one table. On real servers the processor time of a packet, for the yardstick and for the application.
In this process, without a server, the application's own part under ``cProfile``, which gives the shares of the modules;
the time that they share is taken without it, as it makes small functions look dear. What a server spends beyond that
part is the server's: its sockets, and the threads that wake each other.
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

from app.pkg_ids import PkgID
from bench import application
from bench.cases import CASES, CONNECTIONS, GUARDED_PATH, PAGE_PATH, PER_PAGE
from bench.cores import pin
from bench.in_process import Send, packets, requests
from bench.measurement import Side
from bench.numbers import TRIVIAL, TYPED
from bench.packets import TYPED as TYPED_DATA
from bench.packets import Frames, constant
from bench.server import Subject
from bench.site import Site, site
from starpost.observability.logs import configure_logs
from starpost.server import DrainSignal
from starpost.server.collector import settle

REPEATS: Final = 5

LEAST: Final = 0.003
"""Of the application's part; smaller steps are not shown."""

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
    ("app/domains/", "the domain's handler and service"),
    ("bench/application.py", "handler"),
    ("/litestar/", "Litestar"),
    ("/sqlalchemy/", "SQLAlchemy"),
    ("/advanced_alchemy/", "SQLAlchemy"),
    ("/asyncpg/", "asyncpg"),
)
"""By the file's path, the first that fits."""

_OWN_FILES: Final = ("bench/profile.py", "bench/in_process.py")


@dataclass(frozen=True, slots=True)
class Kind:
    """What is sent."""

    case: str
    """The case of the bench that sends the same to real servers."""
    send: Send
    count: int
    """Frames, or requests, each time."""
    packets: int = 1
    """In each."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of packet or request."""

    microseconds: float
    """Processor time of the application's own part, for each packet."""
    shares: dict[str, float]
    """Of that, by step; together 1."""


def _packets(frames: Frames) -> Send:
    return packets(frames, sockets=CONNECTIONS)


KINDS: Final = (
    Kind("trivial", _packets(constant(TRIVIAL, {})), 20_000),
    Kind("typed", _packets(constant(TYPED, TYPED_DATA)), 20_000),
    Kind("batch-16", _packets(constant(TRIVIAL, {}, batch=16)), 20_000, packets=16),
    Kind("page", _packets(constant(PkgID.GET_AUTHORS, {"page": 3, "per_page": PER_PAGE})), 5_000),
    Kind("http-guarded", requests(GUARDED_PATH, clients=CONNECTIONS), 10_000),
    Kind("http-page", requests(PAGE_PATH, clients=CONNECTIONS), 5_000),
)


async def profile(token: str, kind: Kind, *, repeats: int = REPEATS) -> Profile:
    """Profile the application of the environment's settings, whose services must be running.

    Args:
        token: Of a user who may send it.
        kind: What to send.
        repeats: The quickest counts.

    Raises:
        bench.in_process.RefusedError: It was not answered as it should.
    """
    # As a worker has it; the lines themselves are for nobody here.
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
    """Seconds by step. What is written in C counts for who called it; the harness is left out."""
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
    """The step that a source file belongs to; empty for the harness."""
    path = file.replace(os.sep, "/")
    if path.endswith(_OWN_FILES):
        return ""
    return next((step for part, step in _STEPS if part in path), "other libraries and event loop")


async def _measured(surroundings: Site, name: str, seconds: float) -> tuple[float, float]:
    """Processor microseconds of a packet on real servers: the yardstick's, the application's."""
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
        # Where the servers are, which have nothing to do any more: PostgreSQL stays on the other cores.
        pin(surroundings.cores.server)
        for kind, (yardstick, whole) in zip(KINDS, measured, strict=True):
            _show(kind, yardstick, whole, runner.run(profile(surroundings.token, kind)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
