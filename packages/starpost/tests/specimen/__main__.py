"""``python -m tests.specimen``: serve it."""

import sys

from starpost.server.launcher import main
from tests.specimen.settings import Settings

if __name__ == "__main__":
    sys.exit(main(Settings, "tests.specimen.asgi:create_application"))
