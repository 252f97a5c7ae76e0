"""``make check-actions``: the matrix of roles against packets, routes and topics.

The command makes the application without starting a service, so it finds the faults that a start would find. If the
permission table and the code differ, it prints every fault; the exit status is 1.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import msgspec

from starpost.packets import DeclarationError, PacketRegistry
from starpost.rbac import ActionTable, Rule
from starpost.rbac.schema import actions_schema
from starpost.settings import SettingsError
from starpost_dev.project import Project

SCHEMA_FILE = Path("actions.schema.json")


class Row(msgspec.Struct, frozen=True):
    """Packet, route or topic, its rule, and the callers that one role alone allows.

    ``anonymous`` and ``authenticated`` (no role at all) are callers as well.
    """

    kind: str
    key: str
    name: str
    rule: str
    anonymous: bool
    authenticated: bool
    roles: dict[str, bool]


def matrix(table: ActionTable, registry: PacketRegistry) -> list[Row]:
    """Return the rows: packets by number, then routes, then topics."""

    def row(kind: str, key: str, name: str, rule: Rule) -> Row:
        return Row(
            kind=kind,
            key=key,
            name=name,
            rule=str(rule),
            anonymous=rule.is_public,
            authenticated=rule.allows(frozenset()),
            roles={role: rule.allows(frozenset({role})) for role in sorted(table.roles)},
        )

    def rows() -> Iterator[Row]:
        for pkg_id, rule in sorted(table.ws.items()):
            yield row("packet", str(pkg_id), registry[pkg_id].name, rule)
        for (template, method), rule in sorted(table.http.items()):
            yield row("route", method, template, rule)
        for name, rule in sorted(table.topics.items()):
            yield row("topic", "", name, rule)

    return list(rows())


def write_table(rows: Sequence[Row], out: TextIO) -> None:
    """Write the matrix as a table."""
    roles = list(rows[0].roles) if rows else []
    lines = [["", "", "", "anonymous", "no role", *roles, "rule"]]
    for row in rows:
        marks = ["yes" if may else "-" for may in (row.anonymous, row.authenticated, *row.roles.values())]
        lines.append([row.kind, row.key, row.name, *marks, row.rule])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip(), file=out)
    print(
        "\nA column is what the role allows by itself. A composite role of Keycloak brings the roles that it contains"
        "\ninto the token, so its holder has their columns as well.",
        file=out,
    )


def check(project: Project, *, as_json: bool, out: TextIO, err: TextIO) -> int:
    """Print the matrix or the faults, and return the exit status."""
    rows: list[Row] = []
    faults: list[str] = []
    try:
        blueprint = project.blueprint()
        rows = matrix(blueprint.table, blueprint.registry)
    except DeclarationError as error:
        faults = list(error.faults)
    except SettingsError as error:
        faults = str(error).splitlines()
    if as_json:
        document: dict[str, Any] = {"actions": msgspec.to_builtins(rows), "faults": faults}
        print(json.dumps(document, indent=2), file=out)
    elif rows:
        write_table(rows, out)
    for fault in faults:
        print(f"check-actions: {fault}", file=err)
    return 1 if faults else 0


def main(project: Project, arguments: Sequence[str] | None = None) -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="check_actions", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the matrix as JSON")
    parser.add_argument("--write-schema", action="store_true", help=f"write {SCHEMA_FILE} anew")
    options = parser.parse_args(arguments)
    if options.write_schema:
        SCHEMA_FILE.write_text(json.dumps(actions_schema(), indent=2) + "\n")
        return 0
    return check(project, as_json=options.json, out=sys.stdout, err=sys.stderr)
