"""``python -m tests.framework.server.start module:function``: the launcher with another application."""

import sys

from app.framework.server.launcher import launch
from app.settings import Settings

if __name__ == "__main__":
    sys.exit(launch(Settings.load(dotenv=None), sys.argv[1]))
