"""List the packets: ``make ws-handlers``."""

import sys

from starpost_dev.commands.ws_handlers import main
from starpost_dev.project import Project

if __name__ == "__main__":
    sys.exit(main(Project("app")))
