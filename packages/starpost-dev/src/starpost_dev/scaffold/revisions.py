"""Migrations of a project, read without Alembic: which tables each one changes, and what stands before it."""

from __future__ import annotations

import ast
import hashlib
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

FOLDER: Final = "migrations/versions"

_FIRST: Final = {
    "create_table", "drop_table", "add_column", "drop_column", "alter_column", "rename_table", "batch_alter_table",
    "create_table_comment", "drop_table_comment", "create_search_indexes", "drop_search_indexes",
}  # fmt: skip
"""Operations whose first argument is the table."""

_SECOND: Final = {
    "create_index", "drop_index", "create_unique_constraint", "create_foreign_key", "create_check_constraint",
    "create_primary_key", "drop_constraint", "create_exclude_constraint",
}  # fmt: skip
"""Operations whose second argument is the table."""


@dataclass(frozen=True)
class Revision:
    """One migration.

    Args:
        path: Of its file.
        name: Its ``revision``.
        after: The revisions before it.
        tables: Those that it changes.
        upgrade: Statements of the function, as they are written.
        downgrade: The same of the other one.
        imports: Lines beyond those that every migration has.
    """

    path: str
    name: str
    after: tuple[str, ...]
    tables: frozenset[str]
    upgrade: str
    downgrade: str
    imports: tuple[str, ...] = ()


def read_revisions(tree: Mapping[str, bytes]) -> list[Revision]:
    """Every migration of a tree, in the order of their files.

    Raises:
        SyntaxError: One of them is no Python.
    """
    return [
        found
        for path in sorted(tree)
        if path.startswith(f"{FOLDER}/") and path.endswith(".py")
        for found in _read(path, tree[path].decode())
    ]


def heads_of(revisions: Iterable[Revision]) -> list[str]:
    """Revisions that none comes after."""
    revisions = list(revisions)
    before = {name for revision in revisions for name in revision.after}
    return [revision.name for revision in revisions if revision.name not in before]


def next_name(revisions: Sequence[Revision], slug: str) -> str:
    """Name of the next revision: a number where all are numbers, else a hash as Alembic's."""
    names = [revision.name for revision in revisions]
    if all(name.isdecimal() for name in names):
        return f"{max(map(int, names), default=0) + 1:04}"
    return hashlib.sha256(" ".join([*names, slug]).encode()).hexdigest()[:12]


def dropping(gone: Sequence[Revision], name: str, after: str, title: str) -> str:
    """Text of a migration that undoes others, the last one first.

    Args:
        gone: Those that it undoes, the first one first.
        name: Its own revision.
        after: The revision before it.
        title: Its docstring.
    """
    imports = sorted({line for revision in gone for line in revision.imports})
    return write_revision(
        name,
        after,
        title,
        "\n".join(revision.downgrade for revision in reversed(gone)),
        "\n".join(revision.upgrade for revision in gone),
        imports,
    )


def write_revision(
    name: str, after: str | None, title: str, upgrade: str, downgrade: str, imports: Sequence[str] = ()
) -> str:
    """Text of a migration, as ``migrations/script.py.mako`` has it."""
    extra = "".join(f"{line}\n" for line in imports)
    return f'''"""{title}.

Revision: {name}
After: {after or "nothing"}
"""

import sqlalchemy as sa
from alembic import op
{extra}
revision = "{name}"
down_revision = {f'"{after}"' if after else None}
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply it."""
{textwrap.indent(upgrade, "    ")}


def downgrade() -> None:
    """Undo it."""
{textwrap.indent(downgrade, "    ")}
'''


def _read(path: str, text: str) -> Iterator[Revision]:
    tree = ast.parse(text, path)
    values = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    if "revision" not in values:
        return
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    before = ast.literal_eval(values["down_revision"])
    yield Revision(
        path,
        ast.literal_eval(values["revision"]),
        (before,) if isinstance(before, str) else tuple(before or ()),
        frozenset(_tables(tree)),
        _body(text, functions["upgrade"]),
        _body(text, functions["downgrade"]),
        tuple(
            ast.unparse(node)
            for node in tree.body
            if isinstance(node, ast.Import | ast.ImportFrom)
            and ast.unparse(node) not in {"import sqlalchemy as sa", "from alembic import op"}
        ),
    )


def _tables(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
            place = 0 if name in _FIRST else 1 if name in _SECOND else None
            if place is None:
                continue
            given = node.args[place : place + 1]
            given += [each.value for each in node.keywords if each.arg in {"table_name", "source_table"}]
            yield from (each.value for each in given if isinstance(each, ast.Constant) and isinstance(each.value, str))


def _body(text: str, function: ast.FunctionDef) -> str:
    """Statements of a function without its docstring."""
    statements = function.body
    if isinstance(statements[0], ast.Expr) and isinstance(statements[0].value, ast.Constant):
        statements = statements[1:]
    if not statements:
        return "pass"
    lines = text.splitlines()[statements[0].lineno - 1 : function.end_lineno]
    return textwrap.dedent("\n".join(lines))
