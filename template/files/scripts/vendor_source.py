"""Unpack the framework's source into ``packages/``: ``make vendor-source``."""

import re
import sys
import tarfile
from pathlib import Path

PACKAGES = Path("packages")
VENDOR = Path("vendor")


def replace(path: str, pattern: str, new: str) -> None:
    """Replace the one place of a file that matches.

    Raises:
        ValueError: There is none, or more than one.
    """
    text, count = re.subn(pattern, new, Path(path).read_text(), flags=re.MULTILINE)
    if count != 1:
        raise ValueError(f"{path} has {count} places like {pattern!r}: change it by hand")
    Path(path).write_text(text)


def unpack(archive: Path) -> None:
    """Unpack a source archive into a folder of the distribution's name."""
    with tarfile.open(archive) as source:
        source.extractall(PACKAGES, filter="data")
    folder = PACKAGES / archive.name.removesuffix(".tar.gz")
    original = folder / "pyproject.toml.orig"
    original.replace(folder / "pyproject.toml")
    (folder / "PKG-INFO").unlink()
    folder.rename(PACKAGES / folder.name.partition("-")[0].replace("_", "-"))


def main() -> int:
    """Unpack, and take the source everywhere; the exit status."""
    archives = sorted(VENDOR.glob("*.tar.gz"))
    if PACKAGES.exists() or not archives:
        print("packages/ is there already, or vendor/ has no source.", file=sys.stderr)
        return 1
    for archive in archives:
        unpack(archive)
    names = [folder.name for folder in sorted(PACKAGES.iterdir())]
    sources = ", ".join(f'{name} = {{path = "packages/{name}", editable = true}}' for name in names)
    replace("pyproject.toml", r"^# The framework comes from vendor/.*\nsources = .*$", f"sources = {{{sources}}}")
    replace("docker/Dockerfile", r"^COPY vendor vendor\n", "")
    replace(
        "docker/Dockerfile",
        r"^(RUN uv pip sync .*\n)",
        r"\1COPY packages/starpost packages/starpost\n"
        r"RUN uv pip install --python /srv/.venv/bin/python --no-deps --no-index --no-cache packages/starpost\n",
    )
    replace(".dockerignore", r"^!vendor\nvendor/docs$", "!packages/starpost")
    for lock in ("requirements/runtime.lock", "requirements/dev.lock"):
        text = Path(lock).read_text()
        Path(lock).write_text(re.sub(r"^vendor/\S+ \\\n(?: .*\n)*", "", text, flags=re.MULTILINE))
    for archive in (*archives, *VENDOR.glob("*.whl")):
        archive.unlink()
    print("The framework is in packages/: yours from now on.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
