"""Assignment of cores to server and load. Needs ``sched_setaffinity``, which only Linux has."""

import os
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Cores:
    """Cores of server and load; ``None`` leaves the choice to the kernel."""

    server: frozenset[int] | None
    load: frozenset[int] | None
    every: frozenset[int] | None = None
    """Cores of a server with several workers, which share one of them with the load where there are two."""

    @classmethod
    def plan(cls, *, is_pinned: bool) -> Self:
        """Assign the last core to the server under test, all others to the load and the database.

        With a single core, or without affinity, nothing is assigned.
        """
        if not is_pinned or not hasattr(os, "sched_setaffinity"):
            return cls(None, None)
        allowed = sorted(os.sched_getaffinity(0))
        if len(allowed) < 2:
            return cls(None, None)
        return cls(frozenset(allowed[-1:]), frozenset(allowed[:-1]), frozenset(allowed))


def pin(cores: frozenset[int] | None) -> None:
    """Bind this process and its future children to these cores."""
    if cores is not None:
        os.sched_setaffinity(0, cores)
