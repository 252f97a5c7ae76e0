"""From a domain to the new contents of the checkout's files. Nothing is written here."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Final

from starpost_dev.layout import REALM_FILE
from starpost_dev.scaffold import source
from starpost_dev.scaffold.domain import Field, NewDomain
from starpost_dev.scaffold.domain_code import code
from starpost_dev.scaffold.domain_tests import tests
from starpost_dev.scaffold.errors import ScaffoldError
from starpost_dev.scaffold.json_text import JSONText
from starpost_dev.scaffold.plan import RECORD, Plan
from starpost_dev.scaffold.realm_roles import add_roles
from starpost_dev.scaffold.revisions import FOLDER, heads_of, next_name, read_revisions, write_revision

LONGEST_CONSTRAINT: Final = 63
"""Characters that PostgreSQL keeps of a name."""


def plan_domain(domain: NewDomain, root: Path, actions: Path, module: str) -> Plan:
    """Plan everything that makes a domain.

    Args:
        domain: What is asked for.
        root: The checkout.
        actions: The permission table, from there.
        module: Package of the application.

    Raises:
        ScaffoldError: A name is taken, or a file is not as it has to be.
    """
    made = Plan(root)
    for folder, modules in (
        (Path(module, "domains", domain.name), code(domain, module)),
        (Path("tests/domains", domain.name), tests(domain, module)),
    ):
        if (root / folder).exists():
            raise ScaffoldError(f"{folder} is already there")
        for name, text in modules.items():
            made.create(folder / name, text)
    _add_rules(made, domain, actions, _add_numbers(made, domain, module))
    if (root / REALM_FILE).is_file():
        made.edit(REALM_FILE, lambda text: _with_roles(text, domain))
    made.create(*_migration(domain, root))
    made.tidy()
    return made


def _add_numbers(made: Plan, domain: NewDomain, module: str) -> dict[str, int]:
    """Numbers by what the packets do; put on record."""
    record: dict[str, int] = json.loads(made.text(RECORD))
    if taken := [name for name in domain.numbers.values() if name in record]:
        raise ScaffoldError(f"the name {taken[0]} is taken: it is number {record[taken[0]]}")
    first = max(record.values(), default=0) + 1
    numbers = {does: first + place for place, does in enumerate(domain.numbers)}
    named = {name: numbers[does] for does, name in domain.numbers.items()}
    made.edit(RECORD, lambda _: json.dumps(record | named, indent=2) + "\n")
    for name, number in named.items():
        made.edit(Path(module, "pkg_ids.py"), partial(source.add_number, name=name, number=number))
    return numbers


def _add_rules(made: Plan, domain: NewDomain, actions: Path, numbers: dict[str, int]) -> None:
    table = JSONText(made.text(actions))
    for role in (domain.reader, domain.editor, domain.admin):
        if role not in table.value["roles"]:
            table.add(("roles",), None, role)
    for member, rules in domain.rules(numbers).items():
        # Those of HTTP come before the framework's own.
        is_first = member == "http"
        for key, rule in reversed(rules.items()) if is_first else rules.items():
            if table.has((member, key)):
                raise ScaffoldError(f"{actions.name} has a rule for {key!r} in {member!r} already")
            table.add((member,), key, rule, first=is_first)
    made.edit(actions, lambda _: table.text)


def _with_roles(text: str, domain: NewDomain) -> str:
    reader = (domain.reader, f"Reads {domain.many}")
    editor = (domain.editor, f"Writes {domain.many}")
    return add_roles(text, reader, editor)


def _migration(domain: NewDomain, root: Path) -> tuple[Path, str]:
    """Path and text of the migration, as Alembic writes it from the models."""
    files = {f"{FOLDER}/{path.name}": path.read_bytes() for path in (root / FOLDER).glob("*.py")}
    revisions = read_revisions(files)
    heads = heads_of(revisions)
    if len(heads) > 1:
        raise ScaffoldError(f"the migrations have {len(heads)} ends ({', '.join(heads)}); join them first")
    if taken := [each.path for each in revisions if domain.table in each.tables]:
        raise ScaffoldError(f"{taken[-1]} has to do with a table {domain.table!r} already")
    name = next_name(revisions, domain.name)
    arguments = [f'"{domain.table}"', *_columns(domain), *_constraints(domain)]
    upgrade = [f"op.create_table({', '.join(arguments)},)"]
    downgrade = [f'op.drop_table("{domain.table}")']
    imports = []
    for field in domain.searched:
        upgrade.append(f'create_search_indexes("{domain.table}", "{field.name}")')
        downgrade.insert(0, f'drop_search_indexes("{domain.table}", "{field.name}")')
        imports = ["from starpost.db.operations import create_search_indexes, drop_search_indexes"]
    before = heads[0] if heads else None
    text = write_revision(name, before, f"Add {domain.many}", "\n".join(upgrade), "\n".join(downgrade), imports)
    return Path(FOLDER, f"{name}_add_{domain.name}.py"), text


def _columns(domain: NewDomain) -> list[str]:
    return [
        'sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False)',
        *(_column(field) for field in domain.fields),
        'sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)',
    ]


def _column(field: Field) -> str:
    return f'sa.Column("{field.name}", {field.kind.migrated}, nullable={field.is_optional})'


def _constraints(domain: NewDomain) -> list[str]:
    names = {f"uq_{domain.table}_{field.name}": field.name for field in domain.unique}
    if longest := [name for name in names if len(name) > LONGEST_CONSTRAINT]:
        raise ScaffoldError(f"{longest[0]!r} is too long for PostgreSQL")
    return [
        f'sa.PrimaryKeyConstraint("id", name=op.f("pk_{domain.table}"))',
        *(f'sa.UniqueConstraint("{column}", name=op.f("{name}"))' for name, column in names.items()),
    ]
