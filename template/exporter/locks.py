"""Lock files of a project, from ours: without what only this repository asks for, with the framework's wheels.

They are what ``make lock`` of the project writes, and need no network.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

HERE = "app"
"""Name of the project in this repository's lock files."""

_HEAD = re.compile(r"^(?=[A-Za-z0-9])", re.MULTILINE)
_MEMBER = re.compile(r"starpost(-dev)? \(packages/")


@dataclass
class Pin:
    """One entry of a lock file: the requirement with its hashes, and what asks for it."""

    name: str
    text: str
    via: list[str]

    def render(self) -> str:
        """Return its lines."""
        if len(self.via) == 1:
            return f"{self.text}    # via {self.via[0]}\n"
        return self.text + "    # via\n" + "".join(f"    #   {name}\n" for name in self.via)

    @property
    def is_wanted(self) -> bool:
        """True if something asks for it; a constraint does not."""
        return any(not name.startswith("-c ") for name in self.via)


@dataclass(frozen=True)
class Wheel:
    """A distribution of the framework in ``vendor/``."""

    name: str
    path: str
    sha256: str
    via: tuple[str, ...]


def edited(text: str, project: str, dropped: Collection[str], wheels: Collection[Wheel]) -> str:
    """Return a lock file of the project.

    Args:
        text: Ours.
        project: Name of the project.
        dropped: Packages that this repository alone asks for.
        wheels: Of the framework.
    """
    # As uv writes it.
    project = project.replace("_", "-")
    pins = {pin.name: pin for pin in map(_pin, _HEAD.split(text)[1:])}
    for pin in pins.values():
        via = [re.sub(rf"^{HERE} (?=\(pyproject\.toml)", f"{project} ", name) for name in pin.via]
        pin.via = [
            name
            for name in via
            if not _MEMBER.match(name) and not (pin.name in dropped and name.startswith(f"{project} ("))
        ]
    while unwanted := [name for name, pin in pins.items() if not pin.is_wanted]:
        for name in unwanted:
            del pins[name]
        for pin in pins.values():
            pin.via = [name for name in pin.via if name not in unwanted]
    for wheel in wheels:
        via = [name.format(project=project) for name in wheel.via]
        pins[wheel.name] = Pin(wheel.name, f"{wheel.path} \\\n    --hash=sha256:{wheel.sha256}\n", via)
    return "".join(pins[name].render() for name in sorted(pins))


def _pin(block: str) -> Pin:
    # The last one is followed by what was left out.
    requirement, _, comment = block.partition("\n# The following packages")[0].partition("    # via")
    via = [line.strip().removeprefix("#").strip() for line in comment.splitlines()]
    return Pin(re.split(r"[=\[ ]", requirement, maxsplit=1)[0], requirement, [name for name in via if name])


def asked_for_here_alone(
    groups: Mapping[str, list[object]], kept: Collection[str], left_out: Collection[str]
) -> set[str]:
    """Return the packages that only the groups which are left out ask for."""

    def names(group: str) -> set[str]:
        return {
            re.split(r"[\[<>=~! ]", entry, maxsplit=1)[0] for entry in groups.get(group, ()) if isinstance(entry, str)
        }

    here: set[str] = set().union(*map(names, left_out))
    return {name.lower().replace("_", "-") for name in here - set().union(*map(names, kept))}
