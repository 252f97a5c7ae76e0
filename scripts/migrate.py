"""Migrate the database: ``make migrate``."""

import sys

from starpost_dev.commands.migrate import main

if __name__ == "__main__":
    sys.exit(main())
