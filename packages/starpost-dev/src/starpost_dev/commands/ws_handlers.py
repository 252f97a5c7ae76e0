"""``make ws-handlers``: every packet with its payload, reply, rule and handler.

The command makes the application without starting a service. If the application would not start, it prints every fault;
the exit status is 1.
"""

import argparse
import json
import os
import shutil
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from typing import Annotated, Any, Final, TextIO, Union, get_args, get_origin

import msgspec

from starpost.composition.blueprint import Blueprint
from starpost.contract.server_messages import SYSTEM_MESSAGES, ServerMessage, messages_of
from starpost.errors import StartError
from starpost.packets import PacketRoute, SystemPacket
from starpost.packets.request import NoData
from starpost.rbac import Rule
from starpost.settings import SettingsError
from starpost.source_location import location_of_number
from starpost.topics.topic import Push, Topic
from starpost_dev.project import Project

WIDTH: Final = 120
EVERYONE: Final = "authenticated"
PUSH: Final = "(push)"


class PacketRow(msgspec.Struct, frozen=True):
    """Packet with its types as the code names them; ``-`` is an empty object.

    A push has the type of its ``data`` as ``reply``, and the location of its topic in place of a handler's.
    """

    id: int
    name: str
    payload: str
    reply: str
    rule: str
    handler: str
    pushed: bool
    deprecated: bool
    summary: str


def packet_rows(blueprint: Blueprint, pkg_ids: type[IntEnum]) -> list[PacketRow]:
    """Return the application's packets by number, then the system's, from -1 on."""
    table = blueprint.table
    sources: list[Topic[Any] | Push[Any]] = []
    for domain in blueprint.domains:
        sources += [*domain.topics, *domain.pushes]
    rows = [_handled(route, table.ws) for route in blueprint.registry.values()]
    for message, source in zip(messages_of(sources, pkg_ids), sources, strict=True):
        rule = "-" if message.topic is None else str(table.topic_rule(message.topic.name))
        rows.append(_pushed(message, rule, source.location))
    rows += [
        _pushed(message, EVERYONE, location_of_number(SystemPacket(message.pkg_id)))
        for message in SYSTEM_MESSAGES
        if message.pkg_id not in blueprint.registry
    ]
    return sorted(rows, key=lambda row: (row.id < 0, abs(row.id), row.handler))


def _handled(route: PacketRoute, rules: Mapping[int, Rule]) -> PacketRow:
    declaration = route.declaration
    return PacketRow(
        id=route.pkg_id,
        name=route.name,
        payload=type_name(route.payload),
        reply=type_name(route.reply),
        rule=EVERYONE if route.is_system else str(rules[route.pkg_id]),
        handler=declaration.location,
        pushed=False,
        deprecated=declaration.is_deprecated,
        summary=declaration.summary,
    )


def _pushed(message: ServerMessage, rule: str, location: str) -> PacketRow:
    return PacketRow(
        id=message.pkg_id,
        name=message.name,
        payload=PUSH,
        reply=type_name(message.data),
        rule=rule,
        handler=location,
        pushed=True,
        deprecated=False,
        summary=message.summary,
    )


def type_name(kind: Any) -> str:
    """Return a type as the code writes it, without modules and constraints."""
    if kind in (None, type(None), NoData):
        return "-"
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return type_name(args[0])
    if origin in (Union, types.UnionType):
        return " | ".join(
            "None" if arg is type(None) else type_name(arg) for arg in args if arg is not msgspec.UnsetType
        )
    if args:
        inner = ", ".join("..." if arg is ... else type_name(arg) for arg in args)
        return f"{type_name(origin)}[{inner}]"
    return getattr(kind, "__name__", str(kind))


def write_table(rows: Sequence[PacketRow], out: TextIO, width: int) -> None:
    """Write the table. A handler gets a line of its own where the row would be wider than ``width``."""
    lines = [["id", "name", "payload", "reply", "rule"]]
    lines += [[str(row.id), row.name, row.payload, row.reply, row.rule] for row in rows]
    handlers = ["handler", *(f"{row.handler}{' (deprecated)' if row.deprecated else ''}" for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    room = width - sum(widths) - 2 * len(widths)
    is_wide = room < max(map(len, handlers))
    for cells, handler in zip(lines, handlers, strict=True):
        # Numbers are aligned to the right.
        shown = "  ".join([cells[0].rjust(widths[0]), *map(str.ljust, cells[1:], widths[1:])])
        if is_wide:
            print(shown.rstrip(), f"{' ' * widths[0]}    {handler}", sep="\n", file=out)
        else:
            print(f"{shown}  {handler}".rstrip(), file=out)


def _faults(error: Exception) -> Iterator[str]:
    yield from getattr(error, "faults", None) or str(error).splitlines()


def show(project: Project, *, as_json: bool, out: TextIO, err: TextIO) -> int:
    """Print the packets or the faults, and return the exit status."""
    try:
        blueprint = project.blueprint()
    except (StartError, SettingsError) as error:
        for fault in _faults(error):
            print(f"ws-handlers: {fault}", file=err)
        return 1
    rows = packet_rows(blueprint, project.pkg_ids)
    if as_json:
        print(json.dumps(msgspec.to_builtins(rows), indent=2), file=out)
    else:
        write_table(rows, out, max(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns))
    return 0


def main(project: Project, arguments: Sequence[str] | None = None) -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="ws_handlers", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the packets as JSON")
    options = parser.parse_args(arguments)
    try:
        status = show(project, as_json=options.json, out=sys.stdout, err=sys.stderr)
        sys.stdout.flush()
    except BrokenPipeError:
        # Its reader has seen enough, as `head` has. What is left is written at the end, and would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status
