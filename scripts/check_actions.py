"""Show who may do what: ``make check-actions``."""

import sys

from starpost_dev.commands.check_actions import main
from starpost_dev.project import Project

if __name__ == "__main__":
    sys.exit(main(Project("app")))
