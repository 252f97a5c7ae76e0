"""``python -m tests.framework.server.hasty``: the launcher of ``TARGET``, without the time that it gives to others.

It restarts workers with shorter pauses, and cuts a drain sooner. Nothing that a test asserts is about their lengths.
"""

import os
import sys

from starpost.server import drain, respawns
from starpost.server.launcher import launch
from starpost.settings import Settings

HASTY = "tests.framework.server.hasty"

if __name__ == "__main__":
    respawns.FIRST_DELAY = 0.05  # type: ignore[misc]  # Final
    drain.GOODBYE_SECONDS = drain.FLUSH_SECONDS = drain.LATE_SECONDS = 0.1  # type: ignore[misc]  # Final
    sys.exit(launch(Settings.load(dotenv=None), os.environ["TARGET"]))
