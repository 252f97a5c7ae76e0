"""Comparison of the lock files with the projects' requirements. It needs no network; ``make lock`` does.

Each requirement must be met by the pin of its name, each pin that comes from a ``pyproject.toml`` must still be
required, each file must have a hash, and production must run the versions that were tested. The constraints by which
`uv run` comes to the same versions must be the pins.
"""

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_PIN = re.compile(
    r"^(?:\S*/)?(?P<name>[A-Za-z0-9._-]+?)(?:(?:\[[^\]]*\])?==(?P<version>[^\s;\\]+)"
    # A wheel in a folder of the project; its name has the version.
    r"|-(?P<wheel>\d[^-\s]*)-\S+\.whl)",
    re.MULTILINE,
)
_DIRECT = re.compile(r"\((?:[\w./-]+/)?pyproject\.toml(?::\w+)?\)")


class Lock:
    """Lock file: its pins by name, those that ``pyproject.toml`` itself requires, and those that are files."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self.versions: dict[str, str] = {}
        self.direct: set[str] = set()
        self.without_hash: list[str] = []
        self.vendored: set[str] = set()
        text = path.read_text()
        starts = [*_PIN.finditer(text)]
        for match, following in zip(starts, [*starts[1:], None], strict=True):
            name = canonicalize_name(match["name"])
            block = text[match.start() : following.start() if following else len(text)]
            self.versions[name] = match["version"] or match["wheel"]
            if match["wheel"]:
                self.vendored.add(name)
            if _DIRECT.search(block):
                self.direct.add(name)
            if "--hash=sha256:" not in block:
                self.without_hash.append(name)


def faults_of(
    project: Mapping[str, Any], members: Sequence[Mapping[str, Any]], runtime: Lock, dev: Lock
) -> Iterator[str]:
    """Yield every difference, as a sentence.

    Args:
        project: The application's ``pyproject.toml``.
        members: Those of the workspace, which are installed from their folders and never locked.
        runtime: Lock of what runs in production.
        dev: Lock of everything.
    """
    ours = {member["project"]["name"]: member["project"] for member in members}
    needed = _resolved(project["project"]["dependencies"], ours)
    everything = [*needed, *_resolved(_flat(project["dependency-groups"], "dev"), ours)]
    for lock, requirements in ((runtime, needed), (dev, everything)):
        yield from _unmet(lock, requirements)
        yield from (f"{lock.name}: {name} is no longer asked for" for name in _stale(lock, requirements))
        yield from (f"{lock.name}: {name} has no hash" for name in lock.without_hash)
    for name, version in runtime.versions.items():
        if dev.versions.get(name) != version:
            yield f"{name}: {version} in {runtime.name}, {dev.versions.get(name, 'not')} in {dev.name}"
    constraints = {*map(_constraint, project["tool"]["uv"].get("constraint-dependencies", ()))}
    pins = {(name, version) for name, version in dev.versions.items() if name not in dev.vendored}
    for name, version in sorted(constraints ^ pins):
        yield f"constraint-dependencies: {name} {version} is there or in {dev.name}, not in both"


def _constraint(text: str) -> tuple[str, str]:
    """Name and version of a pin in ``pyproject.toml``."""
    requirement = Requirement(text)
    return canonicalize_name(requirement.name), str(requirement.specifier).removeprefix("==")


def _resolved(texts: Iterable[str], ours: Mapping[str, Mapping[str, Any]]) -> list[Requirement]:
    """Return the requirements, with each workspace member replaced by its own and those of the extras asked for."""
    found = []
    for text in texts:
        requirement = Requirement(text)
        if (member := ours.get(requirement.name)) is None:
            found.append(requirement)
            continue
        found += _resolved(member["dependencies"], ours)
        for extra in sorted(requirement.extras):
            found += _resolved(member["optional-dependencies"][extra], ours)
    return found


def _unmet(lock: Lock, requirements: Iterable[Requirement]) -> Iterator[str]:
    for requirement in requirements:
        version = lock.versions.get(canonicalize_name(requirement.name))
        if version is None:
            yield f"{lock.name}: {requirement.name} is missing"
        elif not requirement.specifier.contains(version, prereleases=True):
            yield f"{lock.name}: {requirement.name} {version} is not {requirement.specifier}"


def _stale(lock: Lock, requirements: Iterable[Requirement]) -> list[str]:
    return sorted(lock.direct - {canonicalize_name(requirement.name) for requirement in requirements})


def _flat(groups: Mapping[str, list[Any]], name: str) -> Iterator[str]:
    for entry in groups[name]:
        if isinstance(entry, str):
            yield entry
        else:
            yield from _flat(groups, entry["include-group"])


def workspace_members() -> list[dict[str, Any]]:
    """Return the ``pyproject.toml`` of each distribution of the workspace; none where the framework is installed."""
    return [tomllib.loads(path.read_text()) for path in sorted(Path().glob("packages/*/pyproject.toml"))]


def main() -> int:
    """Print the differences, and return the exit status."""
    project = tomllib.loads(Path("pyproject.toml").read_text())
    locks = (Lock(Path("requirements/runtime.lock")), Lock(Path("requirements/dev.lock")))
    faults = list(faults_of(project, workspace_members(), *locks))
    if faults:
        sys.stderr.write("\n".join([*faults, "run `make lock`", ""]))
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
