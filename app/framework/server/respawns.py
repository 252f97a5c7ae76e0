"""When a worker that ended is started again. Arithmetic alone: no process, and the caller's clock."""

from dataclasses import dataclass
from typing import Final

FIRST_DELAY: Final = 0.5
"""Seconds before the second start in a row; each further one waits twice as long. The first one does not wait."""

SERVED_DELAY: Final = 5.0
"""Longest delay, in seconds, for a worker that served: its clients wait for it."""

UNSERVED_DELAY: Final = 30.0
"""Longest delay, in seconds, for a worker that never became ready. Each try takes a second of a core, which the healthy
workers' clients need, and writes a trace to the log."""

STEADY: Final = 30.0
"""Life, in seconds, after which the end of a worker is the first of a new row."""

START_TRIES: Final = 4
"""Failed starts in a row of every worker, with none of them up, after which no worker can be started."""


@dataclass(slots=True)
class _Place:
    ends: int = 0
    failed_starts: int = 0
    due: float | None = None


class Respawns:
    """Back-off for each worker's place.

    Args:
        workers: Number of places.
    """

    def __init__(self, workers: int) -> None:
        self._places = [_Place() for _ in range(workers)]

    def ended(self, place: int, *, served: bool, lived: float, now: float) -> float:
        """Note the end of a worker, and return the seconds until its successor is due.

        Args:
            place: The worker's index.
            served: It had become ready.
            lived: Seconds from its start to its end.
            now: The monotonic clock.
        """
        its = self._places[place]
        its.ends = 1 if served and lived >= STEADY else its.ends + 1
        its.failed_starts = 0 if served else its.failed_starts + 1
        # The exponent is bounded: a worker that fails for days must not overflow a float.
        delay = FIRST_DELAY * 2.0 ** min(its.ends - 2, 16) if its.ends > 1 else 0.0
        delay = min(delay, SERVED_DELAY if served else UNSERVED_DELAY)
        its.due = now + delay
        return delay

    def take_due(self, now: float) -> list[int]:
        """Return the places whose worker is to be started now. The caller starts them."""
        due = [index for index, its in enumerate(self._places) if its.due is not None and its.due <= now]
        for index in due:
            self._places[index].due = None
        return due

    def next_in(self, now: float) -> float | None:
        """Return the seconds until the next worker is due; ``None`` if nobody waits."""
        times = [its.due for its in self._places if its.due is not None]
        return max(0.0, min(times) - now) if times else None

    @property
    def is_exhausted(self) -> bool:
        """Every place has failed to start a worker ``START_TRIES`` times in a row."""
        return all(its.failed_starts >= START_TRIES for its in self._places)
