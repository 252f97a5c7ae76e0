"""Say what is wrong with a realm: ``make check-realm``."""

import sys

from starpost_dev.commands.check_realm import main

if __name__ == "__main__":
    sys.exit(main())
