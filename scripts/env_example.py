"""Write ``.env.example``: ``make env-example``."""

import sys

from starpost_dev.checks.env_example import main
from starpost_dev.project import Project

if __name__ == "__main__":
    sys.exit(main(Project("app")))
