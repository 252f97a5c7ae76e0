"""Environments, locked by hash and made once for each lock: the exporter's has ruff, tomlkit and uv's build backend."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

LOCK = Path(__file__).resolve().parents[1] / "requirements.lock"


def cache() -> Path:
    """Return the folder that the exporter keeps things in."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return Path(base if Path(base).is_absolute() else Path.home() / ".cache", "starpost", "template")


def python(lock: Path = LOCK) -> Path:
    """Return the environment's Python; make the environment if there is none.

    Raises:
        RuntimeError: It cannot be made; the text has pip's or uv's reason.
    """
    key = hashlib.sha256(lock.read_bytes() + sys.version.encode() + sys.base_prefix.encode()).hexdigest()[:16]
    folder = cache() / f"environment-{key}"
    program = folder / "bin" / "python"
    if not (folder / "complete").exists():
        # What is not complete was interrupted.
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as half:
            _make(Path(half, "environment"), lock)
            # An environment's scripts name its folder; the exporter runs its modules alone.
            if folder.exists():
                shutil.rmtree(folder)
            try:
                Path(half, "environment").rename(folder)
            except OSError:
                if not (folder / "complete").exists():
                    raise
    return program


def _make(folder: Path, lock: Path) -> None:
    uv = shutil.which("uv")
    venv.create(folder, with_pip=uv is None, symlinks=True)
    program = str(folder / "bin" / "python")
    if uv is not None:
        command = [uv, "pip", "sync", "--quiet", "--python", program, "--require-hashes", str(lock)]
    else:
        command = [program, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--require-hashes", "--requirement", str(lock)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"An environment cannot be made:\n{done.stdout}{done.stderr}")
    (folder / "complete").touch()
