"""``python -m bench.serve module:function``: the launcher with a subject of the bench.

Yardsticks run under the same launcher as the application: the same Granian, event loop and options.
"""

import os
import signal
import sys
import threading

from bench.cores import pin
from starpost.server.launcher import launch
from starpost.settings import Settings

CORES_VARIABLE = "BENCH_CORES"
"""Environment variable: numbers of the cores to run on, comma-separated; empty means any."""


def main(target: str) -> int:
    """Serve until a signal arrives, and return the exit status."""
    cores = os.environ.get(CORES_VARIABLE, "")
    threading.Thread(target=_end_with_the_bench, name="lifeline", daemon=True).start()
    # The workers inherit the affinity.
    pin(frozenset(map(int, cores.split(","))) if cores else None)
    return launch(Settings.load(dotenv=None), target)


def _end_with_the_bench() -> None:
    """Stop when the standard input closes: the bench holds it open, and the kernel closes it when the bench ends."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
