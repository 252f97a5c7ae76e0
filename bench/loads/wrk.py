"""HTTP load from ``wrk``, if it is installed.

Source: https://github.com/wg/wrk/blob/master/SCRIPTING
"""

import asyncio
import json
import math
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.loads.window import LoadError, Throughput
from bench.server import Server

PROGRAM: Final = shutil.which("wrk")
"""Path of the program; ``None`` if it is not installed."""

# The token is in a file, because every user can read the arguments of a process.
_SCRIPT: Final = """
wrk.headers["Accept"] = "application/json"
wrk.headers["Authorization"] = "Bearer %s"

done = function(summary, latency, requests)
    local errors = summary.errors
    local lost = errors.connect + errors.read + errors.write + errors.timeout
    io.write(string.format('\\n{"microseconds": %%d, "done": %%d, "refused": %%d, "lost": %%d}\\n',
        summary.duration, summary.requests, errors.status, lost))
end
"""


@contextmanager
def _script(token: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bench-wrk-") as folder:
        script = Path(folder, "load.lua")
        script.write_text(_SCRIPT % token)
        yield script


async def saturate(server: Server, path: str, token: str, *, connections: int, seconds: float) -> Throughput:
    """GET the path with the token on each connection, one request at a time. Return requests per second.

    Args:
        server: Server under test.
        path: Path with its query.
        token: An access token.
        connections: Number of connections.
        seconds: Length, rounded up to whole seconds.

    Raises:
        LoadError: An answer was an error (400 and above), or did not come.
    """
    assert PROGRAM is not None
    with _script(token) as script:
        cpu = server.cpu_seconds()
        process = await asyncio.create_subprocess_exec(
            PROGRAM,
            *("--threads", "1", "--connections", str(connections), "--duration", f"{math.ceil(seconds)}s"),
            *("--script", str(script), f"http://127.0.0.1:{server.port}{path}"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            output, _ = await process.communicate()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
        cpu = server.cpu_seconds() - cpu
    last = output.decode(errors="replace").strip().rpartition("\n")[2]
    if process.returncode != 0 or not last.startswith("{"):
        raise LoadError(f"wrk ended with {process.returncode}: {output[-500:]!r}")
    seen = json.loads(last)
    if seen["refused"] or seen["lost"] or not seen["done"]:
        raise LoadError(f"wrk: {last}")
    return Throughput.of(seen["done"], seen["microseconds"] / 1e6, cpu)
