"""``make new-domain``: write a domain - table, migration, service, packets, routes, rules, topic, seed and tests.

The command asks for what no option says. It overwrites nothing, and undoes all changes if it fails or is interrupted.
"""

import argparse
from collections.abc import Sequence
from typing import Any

from starpost_dev.commands import writing
from starpost_dev.commands.questions import Questions
from starpost_dev.project import Project
from starpost_dev.scaffold import ScaffoldError
from starpost_dev.scaffold.columns import COLUMNS
from starpost_dev.scaffold.domain import (
    NewDomain,
    check_plural,
    check_role,
    check_singular,
    parse_table,
    singular_of,
)
from starpost_dev.scaffold.domain_plan import plan_domain


def ask_for_domain(options: dict[str, str | None], roles: Sequence[str]) -> NewDomain:
    """Return the domain to write, from options and answers."""
    questions = Questions(options, ("name",))
    name = questions.ask("name", "Domain, in the plural (such as reviews)", check_plural)
    singular = questions.ask(
        "singular", "One of them", lambda text: check_singular(text, name), _singular(name, options)
    )
    kinds = ", ".join(COLUMNS)
    fields = questions.ask("fields", f"Fields, as name:type, … ({kinds}; line? may be null, line:unique)", parse_table)
    stem = singular.replace("_", "-")
    reader = questions.ask("reader", "Role that reads", check_role, f"{stem}-reader")
    editor = questions.ask("editor", "Role that adds and changes", check_role, f"{stem}-editor")
    admin = questions.ask("admin", "Role that deletes", check_role, "admin" if "admin" in roles else editor)
    return NewDomain(name=name, singular=singular, fields=fields, reader=reader, editor=editor, admin=admin)


def _singular(name: str, options: dict[str, str | None]) -> str | None:
    """Return the singular by the rule, None if there is none and somebody can be asked.

    Raises:
        ScaffoldError: There is none, and nobody can be asked.
    """
    try:
        return singular_of(name)
    except ScaffoldError:
        if options["name"] is not None and options["singular"] is None:
            raise
        return None


def main(project: Project, arguments: Sequence[str] | None = None) -> int:
    """Read the command line, ask for missing values, and write the domain."""
    parser = argparse.ArgumentParser(prog="new_domain", description=__doc__)
    parser.add_argument("--name", help="a new folder of app/domains, in the plural: reviews")
    parser.add_argument("--singular", help="one row: review; needed where the plural has no `s`")
    parser.add_argument("--fields", help="of the table: 'title:line:unique, rating:int, note:text?'")
    parser.add_argument("--reader", help="role that reads; default: review-reader")
    parser.add_argument("--editor", help="role that adds and changes; default: review-editor")
    parser.add_argument("--admin", help="role that deletes; default: admin")
    options: dict[str, Any] = vars(parser.parse_args(arguments))
    return writing.run(
        "new-domain",
        project,
        lambda roles: ask_for_domain(options, roles),
        plan_domain,
        lambda domain: f"{domain.name} is ready: make migrate, make check test",
    )
