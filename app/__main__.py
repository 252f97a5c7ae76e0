"""``python -m app``: serve the application."""

import sys

from app.settings import Settings
from starpost.server.launcher import main

if __name__ == "__main__":
    sys.exit(main(Settings, "app.asgi:create_application"))
