"""Cookiecutter's hook: the answers file is there; the exporter writes the rest beside it."""

import json
import pathlib
import subprocess
import sys

LINES = pathlib.Path(".copier-answers.yml").read_text(encoding="utf-8").splitlines()
CHECKOUT = next(json.loads(line.split(": ", 1)[1]) for line in LINES if line.startswith("_checkout: "))
STATUS = subprocess.call([sys.executable, str(pathlib.Path(CHECKOUT, "template", "generate.py"))])
if STATUS == 0:
    sys.stdout.write(f"Next: cd {pathlib.Path.cwd().name} && git init && make serve\n")
sys.exit(STATUS)
