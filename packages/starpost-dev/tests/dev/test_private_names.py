"""The check of private names finds them, and holds the list to them."""

import os
import subprocess
import sys
from pathlib import Path

PYPROJECT = """
[tool.starpost.private-names."app.listed"]
of = "json"
names = ["_default_encoder"]
reason = "As fast as it gets."

[tool.starpost.private-names."app.stale"]
of = "json"
names = ["_gone"]
reason = "None any more."

[tool.starpost.private-names."app.missing"]
of = "json"
names = []
reason = "None any more."
"""

MODULES = {
    "listed": "import json\nencoder = json._default_encoder\n",
    "stale": "",
    "own": (
        "class Base:\n    def _run(self): self._kept = 1\n\n"
        "class Shop(Base):\n    def _run(self): return super()._run(), self._kept\n\n"
        "def of(shop): return getattr(shop, '_run')\n"
    ),
    "attribute": "def of(entry): return entry._pool\n",
    "assigned": "def of(entry): entry._limit = 1\n",
    "own_name_elsewhere": "import json\n_cancel = 1\ndef of(): return json._cancel\n",
    "imported": "from concurrent.futures import _base\nimport importlib._bootstrap as inner\n",
    "untyped": "from json import (\n    loads,\n    scanner,  # type: ignore[attr-defined]  # not in its types\n)\n",
    "by_text": "def of(entry): return getattr(entry, '_secret')\n",
    "inherited": "import logging\nclass Log(logging.Logger):\n    def of(self): return self._log\n    _log: object\n",
    "overridden": "import logging\nclass Log(logging.Logger):\n    def _log(self): return None\n",
}


def test_each_private_name_is_listed_and_each_listed_name_is_used(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    for name, code in MODULES.items():
        (tmp_path / f"app/{name}.py").write_text(code)

    done = subprocess.run(
        [sys.executable, "-m", "starpost_dev.checks.private_names"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "app.listed: _default_encoder of json. As fast as it gets." in done.stdout
    unlisted = {
        tuple(line.partition(",")[0].split(" uses "))
        for line in done.stderr.splitlines()
        if " uses " in line and "no longer" not in line
    }
    assert unlisted == {
        ("app.attribute", "_pool"),
        ("app.assigned", "_limit"),
        ("app.own_name_elsewhere", "_cancel"),
        ("app.imported", "concurrent.futures._base"),
        ("app.imported", "importlib._bootstrap"),
        ("app.untyped", "json.scanner"),
        ("app.by_text", "_secret"),
        ("app.inherited", "_log"),
        ("app.overridden", "_log"),
    }
    assert "app.stale no longer uses _gone" in done.stderr
    assert "app.missing is listed, and there is no such module" in done.stderr
