"""Python's garbage collector, set for a process that has made everything large at its start."""

import gc
from typing import Final

YOUNGEST: Final = 5_000
"""Objects that may be young before they are looked at; Python's own default is 700.

Twenty pages that are read at once hold more than 700, so that each was looked at while it was in use, and what lived
through that was looked at again. Reference counts free all of it anyway. What is in a cycle waits for the collector,
5,000 objects at most.
"""


def suspend() -> None:
    """Look at nothing until ``settle``: what is imported stays, and looking at it over and over is a quarter of it."""
    gc.disable()


def settle() -> None:
    """Take what is there now for good: it is never looked at again. Called once, when the application is up.

    A full collection walks every object of the process. Of the 150,000 that modules, tables, routes and types are made
    of, it finds none to free, and every client of this worker waits for it, 85 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNGEST, *gc.get_threshold()[1:])
    gc.enable()
