"""Add the example data of the domains: ``make seed``."""

import sys

from starpost_dev.commands.seed import main
from starpost_dev.project import Project

if __name__ == "__main__":
    sys.exit(main(Project("app")))
