"""Serve the application with its development services: ``make serve``."""

import sys

from starpost_dev.commands.serve import main
from starpost_dev.project import Project

if __name__ == "__main__":
    sys.exit(main(Project("app")))
