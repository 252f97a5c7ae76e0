"""Cores that the workers are bound to (``WORKER_CPUS``).

The n-th worker gets the n-th core of the list, and the list starts again when there are more workers. A worker has two
busy threads, Granian's and Python's, which wake each other for every packet: on one core that takes less time.
"""

import os
import sys
from collections.abc import Sequence


class CoresError(Exception):
    """The workers cannot be bound to these cores."""


def check_cores(cores: Sequence[int]) -> None:
    """Check that workers can be bound to these cores here; none means that they are not bound.

    Raises:
        CoresError: The system cannot bind processes, or this process may not use one of the cores.
    """
    if not cores:
        return
    if sys.platform != "linux":
        raise CoresError("WORKER_CPUS needs Linux: no other system binds a process to a core")
    usable = os.sched_getaffinity(0)
    missing = sorted(set(cores) - usable)
    if missing:
        raise CoresError(
            f"WORKER_CPUS names cores that this process may not use: {_listed(missing)}; it may use {_listed(usable)}"
        )


def core_of(worker: int, cores: Sequence[int]) -> int | None:
    """Return the core of the worker with this index; ``None`` if workers are not bound."""
    return cores[worker % len(cores)] if cores else None


def bind(core: int) -> None:
    """Bind this thread, and the threads that it will start, to a core."""
    if sys.platform == "linux":
        os.sched_setaffinity(0, {core})


def _listed(cores: Sequence[int] | set[int]) -> str:
    return ", ".join(map(str, sorted(cores)))
