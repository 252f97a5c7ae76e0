"""``python -m starpost.testing.start module:function``: the launcher with another application."""

import sys

from starpost.server.launcher import launch
from starpost.settings import Settings

if __name__ == "__main__":
    sys.exit(launch(Settings.load(dotenv=None), sys.argv[1]))
