"""Migrate the database: ``make migrate``."""

import sys

from starpost_dev.commands.migrate import main
from starpost_dev.project import Project

if __name__ == "__main__":
    sys.exit(main(Project("app")))
