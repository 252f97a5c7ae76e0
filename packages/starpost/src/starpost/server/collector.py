"""Garbage collector settings for a process whose large structures are all made at its start."""

import gc
from typing import Final

YOUNGEST: Final = 5_000
"""Young objects that start a collection; Python's own default is 700.

Twenty pages that are read at once hold more than 700 objects, so at 700 the collector examined each page while it was
in use, and again those that survived. Reference counts free them anyway. Only garbage in cycles waits for the
collector, 5,000 objects at most.
"""


def suspend() -> None:
    """Stop the collector until ``settle``. Imported objects stay, and examining them takes a quarter of the start."""
    gc.disable()


def settle() -> None:
    """Exempt all objects that exist now from collection. Called once, when the application is up.

    A full collection walks every object of the process. Modules, tables, routes and types are 150,000 objects, of which
    it frees none, while every client of this worker waits 85 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNGEST, *gc.get_threshold()[1:])
    gc.enable()
