"""Plan of the changes for a packet: the new contents of files. Nothing is written here."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starpost_dev.scaffold import source, templates
from starpost_dev.scaffold.errors import ScaffoldError
from starpost_dev.scaffold.packet import Packet

RECORD = Path("tests/contract/pkg_ids.json")


class Plan:
    """New contents of files, and the texts from which they were made.

    Args:
        root: The checkout.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.contents: dict[Path, str] = {}
        self.originals: dict[Path, str | None] = {}

    def create(self, path: Path, text: str) -> None:
        """Plan a new file.

        Raises:
            ScaffoldError: The file exists.
        """
        if (self.root / path).exists():
            raise ScaffoldError(f"{path} is already there")
        self.originals[self.root / path] = None
        self.contents[self.root / path] = text

    def edit(self, path: Path, change: Callable[[str], str]) -> None:
        """Plan the change of an existing or a planned file.

        Raises:
            ScaffoldError: There is no such file.
        """
        absolute = self.root / path
        if absolute not in self.contents:
            if not absolute.is_file():
                raise ScaffoldError(f"{path} is not there")
            self.originals[absolute] = self.contents[absolute] = absolute.read_bytes().decode()
        self.contents[absolute] = change(self.contents[absolute])

    def text(self, path: Path) -> str:
        """Return the new content of a file."""
        self.edit(path, str)
        return self.contents[self.root / path]

    def tidy(self) -> None:
        """Format the Python that is new or has changed, as ``make format`` would.

        Raises:
            ScaffoldError: It is no Python.
        """
        changed = {
            path.relative_to(self.root): text
            for path, text in self.contents.items()
            if path.suffix == ".py" and text != self.originals[path]
        }
        for path, text in source.tidy(changed, self.root).items():
            self.contents[self.root / path] = text


def plan(packet: Packet, root: Path, actions: Path, module: str) -> Plan:
    """Plan all changes for a packet.

    Args:
        packet: The packet.
        root: The checkout.
        actions: Path of the permission table, relative to the checkout.
        module: Package of the application.

    Raises:
        ScaffoldError: A name is taken, or a file does not have the expected form.
    """
    made = Plan(root)
    folder = Path(module, "domains", packet.domain)
    if not (root / folder).exists():
        for name, text in templates.new_domain(packet, module).items():
            made.create(folder / name, text)
    elif not (root / folder / "__init__.py").is_file():
        raise ScaffoldError(f"{folder} is there, and is no domain: it has no __init__.py")
    number = _number(made, packet)
    made.edit(Path(module, "pkg_ids.py"), lambda text: source.add_number(text, packet.name, number))
    made.edit(actions, lambda text: source.add_rule(text, number, packet.rule))
    _add_structs(made, packet, folder / "schemas.py")
    _add_handler(made, packet, folder / "packets.py", module)
    tests = Path("tests/domains") / packet.domain
    if not (root / tests / "__init__.py").exists():
        made.create(tests / "__init__.py", "")
    made.create(tests / f"test_{packet.function}.py", templates.test(packet, roles_of(packet.rule), module))
    made.tidy()
    return made


def roles_of(rule: Any) -> list[str]:
    """Return roles that together satisfy a rule; none for ``authenticated``."""
    match rule:
        case "authenticated":
            return []
        case str():
            return [rule]
        case {"any": [first, *_]}:
            return [first]
        case _:
            return list(rule)


def _number(made: Plan, packet: Packet) -> int:
    """Return the next number, which was never used before, and plan its record."""
    record: dict[str, int] = json.loads(made.text(RECORD))
    if packet.name in record:
        raise ScaffoldError(f"the name {packet.name} is taken: it is number {record[packet.name]}")
    number = max(record.values(), default=0) + 1
    made.edit(RECORD, lambda _: json.dumps(record | {packet.name: number}, indent=2) + "\n")
    return number


def _add_structs(made: Plan, packet: Packet, path: Path) -> None:
    imports, block = templates.schemas(packet)
    if not block:
        return
    if path not in {each.relative_to(made.root) for each in made.contents} and not (made.root / path).exists():
        made.create(path, '"""Payloads and replies."""\n')
    taken = source.names_of(made.text(path)) & {packet.request_class, packet.reply_class}
    if taken:
        raise ScaffoldError(f"{path} has a {min(taken)} already")
    made.edit(path, lambda text: source.add_to_module(text, imports, block))


def _add_handler(made: Plan, packet: Packet, path: Path, module: str) -> None:
    text = made.text(path)
    router = source.router_of(text)
    if router is None:
        raise ScaffoldError(f"{path} has no `pkg_router = PackageRouter()`")
    imports, block = templates.handler(packet, router, module)
    brought = source.names_of("\n".join(imports))
    if packet.function in source.names_of(text) | brought:
        raise ScaffoldError(f"{path} has a {packet.function} already")
    made.edit(path, lambda text: source.add_to_module(text, imports, block))
