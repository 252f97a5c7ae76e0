"""Commands over the specimen, as a project's scripts run them over the project."""

import os
import subprocess
import sys

from tests.specimen import SPECIMEN


def run_command(name: str, *options: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run ``starpost_dev.commands.name`` in a process of its own."""
    code = (
        f"import sys; from starpost_dev.commands.{name} import main; from starpost_dev.project import Project; "
        f"sys.exit(main(Project({SPECIMEN!r})))"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *options],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | environ,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
