"""``python -m migrations [upgrade | downgrade | check]``: migrate where only the application is, as in its image."""

import sys

from app.settings import Settings
from starpost.db.migrate import main

if __name__ == "__main__":
    sys.exit(main(settings=Settings))
