"""``python -m bench.profile``: where a packet's time goes.

Two measurements, one table. On real servers the processor time of a packet, for the bare echo and for the application:
the difference is ours. In this process, over a socket that is none, the application's own part under ``cProfile``,
which gives the shares of the modules; the time that they share is taken without it, as it makes small functions look
dear.
"""

import argparse
import asyncio
import cProfile
import os
import pstats
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import uvloop

from app.framework.server import DrainSignal
from bench import application
from bench.cases import CASES
from bench.measurement import Side
from bench.numbers import TRIVIAL, TYPED
from bench.packets import TYPED as TYPED_DATA
from bench.packets import Frames, constant
from bench.site import Site, site

FRAMES: Final = 20_000
REPEATS: Final = 5

_STEPS: Final = (
    ("app/framework/connections/outbox.py", "outbox: hand the reply over"),
    ("app/framework/connections/limits.py", "limits: rate"),
    ("app/framework/connections/", "connection: read, size, order, deadline"),
    ("app/framework/protocol/", "protocol: frame, envelope, text"),
    ("app/framework/observability/correlation.py", "correlation"),
    ("app/framework/observability/", "metrics"),
    ("app/framework/packets/", "dispatcher: find, permit, decode, encode"),
    ("bench/application.py", "handler"),
)
"""By the file's path, the first that fits."""

_OWN_FILE: Final = "bench/profile.py"


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of packet."""

    microseconds: float
    """Processor time of the application's own part, for each packet."""
    shares: dict[str, float]
    """Of that, by step; together 1."""


async def profile(token: str, frames: Frames, *, count: int = FRAMES, repeats: int = REPEATS) -> Profile:
    """Profile the application of the environment's settings, whose services must be running.

    Args:
        token: Of a user who may send the packets.
        frames: What to send.
        count: Frames each time.
        repeats: The quickest counts.
    """
    app = application.create(DrainSignal())
    text = next(frames.sequence).decode()
    async with app.lifespan():
        seconds = min([await _serve(app, token, text, count) for _ in range(repeats)])
        profiler = cProfile.Profile()
        await _serve(app, token, text, count, profiler)
    times = by_step(profiler)
    whole = sum(times.values())
    return Profile(seconds / count / frames.packets * 1e6, {step: spent / whole for step, spent in times.most_common()})


async def _serve(app: Any, token: str, text: str, count: int, profiler: cProfile.Profile | None = None) -> float:
    """Send ``count`` frames over a socket of the application; processor seconds for all of them."""
    left = count
    began = 0.0
    last: dict[str, Any] = {}

    async def receive() -> dict[str, Any]:
        nonlocal left, began
        left -= 1
        if left == count - 1:
            return {"type": "websocket.connect"}
        if left == count - 2:
            began = time.process_time()
            if profiler is not None:
                profiler.enable()
        if left >= -2:
            return {"type": "websocket.receive", "text": text}
        if profiler is not None:
            profiler.disable()
        return {"type": "websocket.disconnect", "code": 1000}

    async def send(message: dict[str, Any]) -> None:
        nonlocal last
        last = message

    scope = {
        "type": "websocket",
        "path": "/web",
        "raw_path": b"/web",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1"), (b"authorization", f"Bearer {token}".encode())],
        "subprotocols": [],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "scheme": "ws",
        "state": {},
        "extensions": {},
    }
    await app(scope, receive, send)
    spent = time.process_time() - began
    if '"status_code":0' not in last.get("text", ""):
        raise RuntimeError(f"the packets were refused: {last}")
    return spent


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
    if path.endswith(_OWN_FILE):
        return ""
    return next((step for part, step in _STEPS if part in path), "libraries and event loop")


def _measured(surroundings: Site, name: str, seconds: float, *, is_yardstick: bool) -> float:
    """Processor microseconds of a packet on a real server."""
    case = CASES[name]
    server = surroundings.server(case.theirs if is_yardstick else case.ours)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:

        async def measure() -> float:
            return (await case.measure(surroundings, Side(server, is_yardstick), seconds))["cpu"]

        return runner.run(measure())


def _show(name: str, echo: float, whole: float, found: Profile) -> None:
    rows = [("server, event loop and socket, as the bare echo", echo)]
    rows += [(step, share * found.microseconds) for step, share in found.shares.items()]
    rows.append(("waking and resuming beyond the echo's, or less of it", whole - echo - found.microseconds))
    print(f"\n{CASES[name].title}: {whole:.1f} µs of the server's processor time per packet\n")
    for step, spent in rows:
        print(f"  {step:<50} {spent:6.2f} µs  {spent / whole:6.1%}  {'█' * max(0, round(40 * spent / whole))}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="profile", description="Show where a packet's time goes.")
    parser.add_argument("--seconds", type=float, default=2.0, help="on the real servers; default: 2")
    options = parser.parse_args(arguments)
    kinds = {"trivial": constant(TRIVIAL, {}), "typed": constant(TYPED, TYPED_DATA)}
    kinds["batch-16"] = constant(TRIVIAL, {}, batch=16)
    with site(is_pinned=True) as surroundings:
        os.environ.update(surroundings.environ)
        for name, frames in kinds.items():
            echo = _measured(surroundings, name, options.seconds, is_yardstick=True)
            whole = _measured(surroundings, name, options.seconds, is_yardstick=False)
            found = asyncio.run(profile(surroundings.token, frames))
            _show(name, echo, whole, found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
