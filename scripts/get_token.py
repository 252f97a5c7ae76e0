"""Print an access token: ``make token``."""

import sys

from starpost_dev.commands.get_token import main
from starpost_dev.project import Project

if __name__ == "__main__":
    sys.exit(main(Project("app")))
