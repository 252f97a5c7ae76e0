"""Write a packet: ``make new-ws-handlers``."""

import sys

from starpost_dev.commands.new_ws_handler import main
from starpost_dev.project import Project

if __name__ == "__main__":
    sys.exit(main(Project("app")))
