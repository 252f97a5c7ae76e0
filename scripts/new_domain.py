"""Write a domain: ``make new-domain``."""

import sys

from starpost_dev.commands.new_domain import main
from starpost_dev.project import Project

if __name__ == "__main__":
    sys.exit(main(Project("app")))
