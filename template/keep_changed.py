"""Keep what an update would take away although the user changed it: the last step of ``copier update``.

Copier removes the files that the new version has no more. One that is not as it was generated is the user's work: it
comes back. ``vendor/generated.sha256`` of the commit before says how each file was generated.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys

MANIFEST = "vendor/generated.sha256"
"""File of a project with the digest of each other one, as ``sha256sum --check`` reads them."""


def main() -> int:
    """Bring changed files back; the exit status."""
    manifest = _git("show", f"HEAD:./{MANIFEST}")
    if manifest is None:
        return 0
    generated = {path: digest for digest, path in (line.split("  ", 1) for line in manifest.decode().splitlines())}
    removed = _git("diff", "--name-only", "--relative", "--diff-filter=D", "-z", "HEAD") or b""
    for path in filter(None, removed.decode().split("\0")):
        content = _git("show", f"HEAD:./{path}")
        if path in generated and content is not None and hashlib.sha256(content).hexdigest() != generated[path]:
            _git("checkout", "--quiet", "HEAD", "--", path)
            sys.stderr.write(f"Kept {path}: the new version has it no more, and you changed it.\n")
    return 0


def _git(*arguments: str) -> bytes | None:
    done = subprocess.run(["git", *arguments], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else None


if __name__ == "__main__":
    sys.exit(main())
