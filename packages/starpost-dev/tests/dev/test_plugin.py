"""The pytest plugin in a run of its own."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

STARTS_A_PROGRAM = """
import subprocess
import sys


def test_the_program_ends_by_ctrl_c():
    code = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "True\\n"
"""


def run(folder: Path, *options: str, preexec: Callable[[], object] | None = None) -> subprocess.CompletedProcess[str]:
    plugins = ["-p", "no:valkey", "-p", "starpost_dev.testing"]
    command = [sys.executable, "-m", "pytest", *plugins, "--quiet", "-o", "addopts=", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, preexec_fn=preexec)


def test_the_files_that_take_longest_come_first(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\nlongest_first =\n    test_c.py\n    test_b.py\n")
    for name in "abcd":
        (tmp_path / f"test_{name}.py").write_text("def test_2(): ...\ndef test_1(): ...\n")
    done = run(tmp_path, "--collect-only")
    assert done.returncode == 0, done.stdout + done.stderr
    listed = [line for line in done.stdout.splitlines() if "::" in line]
    assert listed == [f"test_{name}.py::test_{number}" for name in "cbad" for number in (2, 1)]


def test_programs_of_a_run_in_the_background_end_by_ctrl_c(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_it.py").write_text(STARTS_A_PROGRAM)
    # As a shell starts what ends with `&`.
    done = run(tmp_path, preexec=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    assert done.returncode == 0, done.stdout + done.stderr
