"""Commands over the specimen, as a project's scripts run them over the project."""

import os
import subprocess
import sys

from tests.specimen import SPECIMEN


def command(name: str, *options: str) -> list[str]:
    """Return the command line of ``starpost_dev.commands.name``."""
    code = (
        f"import sys; from starpost_dev.commands.{name} import main; from starpost_dev.project import Project; "
        f"sys.exit(main(Project({SPECIMEN!r})))"
    )
    return [sys.executable, "-c", code, *options]


def environment(**environ: str) -> dict[str, str]:
    """Return this process's environment, in which the specimen is found, with these variables."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | environ


def run_command(name: str, *options: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run ``starpost_dev.commands.name`` in a process of its own."""
    return subprocess.run(
        command(name, *options),
        env=environment(**environ),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
