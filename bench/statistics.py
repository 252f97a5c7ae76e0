"""Median, smallest and largest of a few rounds, and the ratio of two sides that were measured in turn."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Self


@dataclass(frozen=True, slots=True)
class Spread:
    """Spread of several rounds."""

    median: float
    smallest: float
    largest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Return the spread of at least one value.

        Raises:
            ValueError: There is no value.
        """
        if not values:
            raise ValueError("no round gave a value")
        return cls(median(values), min(values), max(values))


def paired_ratio(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Return the spread of our value over theirs, round by round, so that a disturbance of a whole round cancels out.

    Raises:
        ValueError: The numbers of rounds differ or are zero, or one of their values is zero.
    """
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} rounds against {len(theirs)}")
    if not all(theirs):
        raise ValueError("a ratio to zero")
    return Spread.of([our / their for our, their in zip(ours, theirs, strict=True)])


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that ``share`` of all do not exceed (nearest rank).

    Args:
        values: At least one, in any order.
        share: Above 0, up to 1.

    Raises:
        ValueError: There is no value, or the share is out of bounds.
    """
    if not values or not 0 < share <= 1:
        raise ValueError("a percentile needs values, and a share above 0 and up to 1")
    return sorted(values)[math.ceil(share * len(values)) - 1]
