"""Files of a project, relative to its root: the working directory of its commands."""

import tomllib
from pathlib import Path
from typing import Final

REALM_FILE: Final = Path("docker", "keycloak", "realm.json")
ACTIONS_FILE: Final = Path("actions.json")
MIGRATIONS: Final = "migrations"


def module() -> str:
    """Return the package of the application: ``module`` of ``[tool.starpost]`` in ``pyproject.toml``, else ``app``."""
    tool = tomllib.loads(Path("pyproject.toml").read_text()).get("tool", {})
    return str(tool.get("starpost", {}).get("module", "app"))
