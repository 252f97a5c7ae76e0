"""The project's names in the files that have them: title, realm, client, database, image, Redis prefix."""

from __future__ import annotations

import ast
import json
import re

from template.exporter.answers import Answers
from template.exporter.module import MODULE
from template.exporter.tree import EditError, Files

HERE = "starpost"
"""Realm, client, image and Redis prefix of the application in this repository."""

DEFAULTS = Answers()
"""Names in ``template/files/``, whose files are written as for a user who only pressed Enter."""

SETTINGS = ("keycloak_realm", "keycloak_client_id", "redis_prefix", "db_user", "db_name")
"""Settings whose default is the project's name."""

COMPOSE_KEYS = (
    "name", "KEYCLOAK_REALM", "KEYCLOAK_CLIENT_ID", "DB_USER", "DB_PASSWORD", "DB_NAME", "POSTGRES_USER",
    "POSTGRES_PASSWORD", "POSTGRES_DB",
)  # fmt: skip


def give_names(files: Files, answers: Answers, own: frozenset[str]) -> None:
    """Write the names into the files of a project.

    Args:
        files: Of the project; its package is still called ``app``.
        answers: The user's.
        own: Paths of the files that come from ``template/files/``.

    Raises:
        EditError: A file has no such place.
    """
    _set_docstring(files, f"{MODULE}/__init__.py", f"{answers.project_name}.")
    _set_constant(files, f"{MODULE}/asgi.py", "TITLE", answers.project_name)
    for name in SETTINGS:
        _set_default(files, f"{MODULE}/settings.py", name, answers.project_slug)
        _set_line(files, ".env.example", rf"# {name.upper()}=", answers.project_slug)
    for name in COMPOSE_KEYS:
        _set_line(files, "docker/compose.yml", rf" *{name}: ", answers.project_slug)
    files.replace("docker/compose.yml", '"--username=app"', f'"--username={answers.project_slug}"')
    files.replace("docker/Dockerfile", f"-t {HERE} .", f"-t {answers.project_slug} .")
    _name_realm(files, answers)
    for path in own & files.tree.keys():
        text = files.text(path)
        files.write(
            path,
            text.replace(DEFAULTS.project_name, answers.project_name).replace(
                DEFAULTS.project_slug, answers.project_slug
            ),
        )


def _name_realm(files: Files, answers: Answers) -> None:
    path = "docker/keycloak/realm.json"
    text = files.text(path)
    files.write(
        path,
        text.replace(
            f'"{HERE.title()} (development)"', json.dumps(f"{answers.project_name} (development)", ensure_ascii=False)
        ).replace(HERE, answers.project_slug),
    )
    json.loads(files.text(path))


def _set_line(files: Files, path: str, before: str, value: str) -> None:
    """Replace the rest of each line that begins so; there must be one."""
    text, count = re.subn(rf"^({before}).*$", rf"\g<1>{value}", files.text(path), flags=re.MULTILINE)
    if not count:
        raise EditError(f"{path} has no line {before!r}")
    files.write(path, text)


def _set_docstring(files: Files, path: str, text: str) -> None:
    match ast.parse(files.text(path)).body:
        case [ast.Expr(value=ast.Constant(value=str()) as docstring), *_]:
            _replace_node(files, path, docstring, f'"""{text}"""')
        case _:
            raise EditError(f"{path} has no docstring")


def _set_constant(files: Files, path: str, name: str, value: str) -> None:
    for node in ast.parse(files.text(path)).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return _replace_node(files, path, node.value, json.dumps(value, ensure_ascii=False))
    raise EditError(f"{path} has no {name}")


def _set_default(files: Files, path: str, name: str, value: str) -> None:
    for node in ast.walk(ast.parse(files.text(path))):
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == name and node.value is not None:
            texts = [part for part in ast.walk(node.value) if isinstance(part, ast.Constant)]
            return _replace_node(files, path, texts[0], json.dumps(value))
    raise EditError(f"{path} has no field {name}")


def _replace_node(files: Files, path: str, node: ast.expr, new: str) -> None:
    lines = files.text(path).encode().splitlines(keepends=True)
    last = node.end_lineno or node.lineno
    before = b"".join(lines[: node.lineno - 1]) + lines[node.lineno - 1][: node.col_offset]
    after = lines[last - 1][node.end_col_offset :] + b"".join(lines[last:])
    files.tree[path] = before + new.encode() + after
