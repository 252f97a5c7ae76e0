"""The check of docstrings refuses openings that hide what a docstring is about, and missing docstrings."""

import subprocess
import sys
from pathlib import Path

GOOD = '''"""Limits of a client."""

LIMIT = 5
"""Most packets in a frame."""

#: Time limit, in seconds.
SECONDS = 2


class Limit:
    """Limit of one client. What it counts is up to its caller."""

    def is_reached(self) -> bool:
        """Return whether the limit is reached."""
        #: Number of packets.
        self.count = 1
        return True
'''


def check(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    (folder / "limits.py").write_text(text)
    (folder / "tests").mkdir(exist_ok=True)
    (folder / "tests" / "test_limits.py").write_text('"""What limits do."""\n')
    command = [sys.executable, "-m", "starpost_dev.checks.docstrings", "."]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_nouns_and_imperatives_pass(tmp_path: Path) -> None:
    done = check(tmp_path, GOOD)
    assert (done.returncode, done.stderr) == (0, "")


def test_question_words_and_pronouns_are_refused_wherever_they_open(tmp_path: Path) -> None:
    text = GOOD.replace("Limits of a client", "What a client may send")
    text = text.replace("Most packets", "How many packets").replace("Time limit", "When it ends")
    text = text.replace("Limit of one client", "It limits a client").replace("Return whether", "Whether")
    text = text.replace("Number of", "Those")
    done = check(tmp_path, text)
    assert done.returncode == 1
    found = [line.rpartition(": ")[2] for line in done.stderr.splitlines() if line.startswith("limits.py:")]
    assert sorted(found) == [f"opens with {word!r}" for word in ("How", "It", "Those", "What", "When", "Whether")]


def test_a_missing_docstring_is_refused(tmp_path: Path) -> None:
    text = GOOD.replace('        """Return whether the limit is reached."""\n', "")
    assert check(tmp_path, text + "\n\ndef undocumented() -> None:\n    pass\n").returncode == 1
