"""The framework for ``vendor/``: wheels and source archives, the same bytes from the same files."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from template.exporter.tree import Files, Tree, digest_parts

DISTRIBUTIONS = {"starpost": "packages/starpost/", "starpost-dev": "packages/starpost-dev/"}
FOLDER = "vendor/"

_BUILD = """
import os, sys, uv_build
os.chdir(sys.argv[1])
uv_build.build_wheel(sys.argv[2])
uv_build.build_sdist(sys.argv[2])
"""


def built(source: Files, cache: Path) -> dict[str, Tree]:
    """Build each distribution, or take it from the cache; the archives by their names.

    Args:
        source: This repository.
        cache: Folder that keeps archives by the content that they were made from.
    """
    return {name: _built(_sources(source.tree, folder), cache) for name, folder in DISTRIBUTIONS.items()}


def _sources(tree: Mapping[str, bytes], folder: str) -> Tree:
    return {
        path.removeprefix(folder): content
        for path, content in tree.items()
        if path.startswith(folder) and not path.startswith(f"{folder}tests/")
    }


def _built(sources: Tree, cache: Path) -> Tree:
    digest = hashlib.sha256(b"".join(digest_parts(sources))).hexdigest()
    kept = cache / digest
    if not kept.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as temporary:
            folder, out = Path(temporary, "source"), Path(temporary, "out")
            for path, content in sources.items():
                file = folder / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
                # The archives record modes; the user's umask must not be in them.
                file.chmod(0o644)
            out.mkdir()
            environment = os.environ | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
            done = subprocess.run(
                [sys.executable, "-c", _BUILD, folder, out],
                env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            )  # fmt: skip
            if done.returncode:
                raise RuntimeError(f"The framework's wheel cannot be built:\n{done.stdout}{done.stderr}")
            try:
                out.rename(kept)
            except OSError:
                # Another run was faster; its archives are the same.
                if not kept.is_dir():
                    raise
    return {path.name: path.read_bytes() for path in sorted(kept.iterdir())}
