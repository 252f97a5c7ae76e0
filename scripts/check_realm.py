"""Say what is wrong with a realm: ``make check-realm``."""

import sys

from starpost_dev.commands.check_realm import main
from starpost_dev.project import Project

if __name__ == "__main__":
    sys.exit(main(Project("app")))
