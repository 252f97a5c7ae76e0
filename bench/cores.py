"""Which core serves and which ones load it. Needs ``sched_setaffinity``, which Linux alone has."""

import os
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Cores:
    """Where the two sides run; ``None`` leaves it to the kernel."""

    server: frozenset[int] | None
    load: frozenset[int] | None

    @classmethod
    def plan(cls, *, is_pinned: bool) -> Self:
        """The last core for the server under test, all others for the load and the database.

        A machine with one core, or without affinity, is left alone.
        """
        if not is_pinned or not hasattr(os, "sched_setaffinity"):
            return cls(None, None)
        allowed = sorted(os.sched_getaffinity(0))
        if len(allowed) < 2:
            return cls(None, None)
        return cls(frozenset(allowed[-1:]), frozenset(allowed[:-1]))


def pin(cores: frozenset[int] | None) -> None:
    """Bind this process, and what it will start, to these cores."""
    if cores is not None:
        os.sched_setaffinity(0, cores)
