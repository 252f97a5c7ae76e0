"""Take the example out of the application: ``make remove-example``."""

import sys

from starpost_dev.commands.remove_domain import main
from starpost_dev.project import Project

if __name__ == "__main__":
    sys.exit(main(Project("app")))
