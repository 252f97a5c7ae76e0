"""Take what is new in the template: ``make update [VERSION=v1.2.0]``."""

import json
import subprocess
import sys
from pathlib import Path

ANSWERS = Path(".copier-answers.yml")


def git(*arguments: str) -> str:
    """Return what git prints; nothing where this is no repository."""
    done = subprocess.run(["git", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def fault() -> str:
    """Return why nothing can be updated, or nothing."""
    if not git("rev-parse", "--git-dir"):
        return "This is no git repository: git init, and commit what was generated."
    if changed := git("status", "--porcelain"):
        return f"Commit or stash your changes first:\n{changed}"
    if not ANSWERS.is_file() or "\n_commit: " not in ANSWERS.read_text():
        return f"{ANSWERS} does not say which version of the template this is: it was generated without git."
    return ""


def main() -> int:
    """Update; the exit status."""
    if reason := fault():
        print(reason, file=sys.stderr)
        return 1
    answers = dict(line.split(": ", 1) for line in ANSWERS.read_text().splitlines() if ": " in line and line[0] != "#")
    before, template = json.loads(answers["_commit"]), json.loads(answers["_src_path"])
    wanted = sys.argv[1:]
    print(f"From {before} to {wanted[0] if wanted else 'the newest version'} of {template}, whose code runs for it.")
    print("What you changed stays; then `make check test` runs. To undo: git checkout . && git clean -d --interactive")
    sys.stdout.flush()
    command = [sys.executable, "-m", "copier", "update", "--trust", "--defaults", "--conflict", "inline"]
    status = subprocess.run([*command, *(("--vcs-ref", wanted[0]) if wanted else ())], check=False).returncode
    if status == 0 and (conflicts := git("diff", "--name-only", "--diff-filter=U")):
        print(f"Choose between the conflict markers, then run `make check test`:\n{conflicts}", file=sys.stderr)
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())
