"""Files of a project, relative to its root: the working directory of its commands."""

from pathlib import Path
from typing import Final

REALM_FILE: Final = Path("docker", "keycloak", "realm.json")
ACTIONS_FILE: Final = Path("actions.json")
