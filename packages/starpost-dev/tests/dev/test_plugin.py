"""The pytest plugin in a run of its own."""

import subprocess
import sys
from pathlib import Path


def test_the_files_that_take_longest_come_first(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\nlongest_first =\n    test_c.py\n    test_b.py\n")
    for name in "abcd":
        (tmp_path / f"test_{name}.py").write_text("def test_2(): ...\ndef test_1(): ...\n")
    plugins = ["-p", "no:valkey", "-p", "starpost_dev.testing"]
    command = [sys.executable, "-m", "pytest", *plugins, "--collect-only", "--quiet", "-o", "addopts="]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    listed = [line for line in done.stdout.splitlines() if "::" in line]
    assert listed == [f"test_{name}.py::test_{number}" for name in "cbad" for number in (2, 1)]
