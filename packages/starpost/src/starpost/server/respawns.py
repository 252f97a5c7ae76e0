"""Back-off for restarting workers. Pure arithmetic: no process, and the caller's clock."""

from dataclasses import dataclass
from typing import Final

FIRST_DELAY: Final = 0.5
"""Delay, in seconds, of the second restart in a row, doubled for each further one. The first is not delayed."""

LONGEST_DELAY: Final = 2.0
"""Longest delay, in seconds: clients wait for the worker."""

REFUSED_DELAY: Final = 30.0
"""Longest delay, in seconds, for a worker that ended by itself before it was ready. Each try takes a second of a core
from the healthy workers, and writes a trace to the log."""

STEADY: Final = 30.0
"""Life, in seconds, after which the end of a worker starts a new row."""

REFUSED_STARTS: Final = 4
"""Starts in a row, of every worker, that ended by themselves before they were ready. After them we give up."""

KILLED_STARTS: Final = 30
"""Starts in a row, of every worker, that ended in any way before they were ready. After them we give up. An operator
who kills workers also kills some that start, which says little; a fault in native code kills every one."""


@dataclass(slots=True)
class _Place:
    ends: int = 0
    failed_starts: int = 0
    refused_starts: int = 0
    due: float | None = None


class Respawns:
    """Back-off for each worker's place.

    Args:
        workers: Number of places.
    """

    def __init__(self, workers: int) -> None:
        self._places = [_Place() for _ in range(workers)]

    def ended(self, place: int, *, served: bool, killed: bool, lived: float, now: float) -> float:
        """Note the end of a worker, and return the seconds until its successor is due.

        Args:
            place: The worker's index.
            served: True if it had become ready.
            killed: True if a signal ended it.
            lived: Seconds from its start to its end.
            now: Time of the monotonic clock.
        """
        its = self._places[place]
        its.ends = 1 if served and lived >= STEADY else its.ends + 1
        refused = not (served or killed)
        its.failed_starts = 0 if served else its.failed_starts + 1
        its.refused_starts = 0 if served else its.refused_starts + refused
        # The exponent is bounded: a worker that fails for days must not overflow a float.
        delay = FIRST_DELAY * 2.0 ** min(its.ends - 2, 16) if its.ends > 1 else 0.0
        delay = min(delay, REFUSED_DELAY if refused else LONGEST_DELAY)
        its.due = now + delay
        return delay

    def take_due(self, now: float) -> list[int]:
        """Return the places whose worker the caller must start now."""
        due = [index for index, its in enumerate(self._places) if its.due is not None and its.due <= now]
        for index in due:
            self._places[index].due = None
        return due

    def next_in(self, now: float) -> float | None:
        """Return the seconds until the next worker is due; ``None`` if none is."""
        times = [its.due for its in self._places if its.due is not None]
        return max(0.0, min(times) - now) if times else None

    @property
    def is_exhausted(self) -> bool:
        """True if every place has failed to start a worker ``REFUSED_STARTS`` or ``KILLED_STARTS`` times in a row."""
        return all(its.refused_starts >= REFUSED_STARTS or its.failed_starts >= KILLED_STARTS for its in self._places)
