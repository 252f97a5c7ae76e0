"""``python -m app``: serve the application."""

import sys

from app.framework.server.launcher import launch
from app.settings import Settings, SettingsError


def main() -> int:
    """Read the settings and serve; the exit status of the process."""
    try:
        settings = Settings.load()
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return launch(settings, "app.asgi:create_application")


if __name__ == "__main__":
    sys.exit(main())
