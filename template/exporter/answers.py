"""Answers of a user: four questions, and what may be answered.

It imports nothing but the standard library, and no other module: Cookiecutter's Python, which may be an old one, reads
it to refuse an answer before anything is written.
"""

from __future__ import annotations

import json
import keyword
import re
import sys
from dataclasses import dataclass
from typing import Any

FILE = ".copier-answers.yml"

OWN_NAMES = frozenset(
    {
        "bench", "docker", "docs", "examples", "hooks", "migrations", "packages", "requirements", "scripts", "starpost",
        "starpost_checkout", "starpost_dev", "template", "test", "tests", "vendor",
    }
)  # fmt: skip
"""Top-level names that a project, its framework or this repository have already."""

DEPENDENCIES = frozenset(
    {
        "advanced_alchemy", "alembic", "asyncpg", "cryptography", "dotenv", "granian", "grimp", "httpx", "hypothesis",
        "jwt", "keycloak", "litestar", "lazy_loader", "msgspec", "mypy", "polyfactory", "prometheus_client", "pytest",
        "redis", "ruff", "setuptools", "sqlalchemy", "structlog", "uvloop", "websockets", "yaml",
    }
)  # fmt: skip
"""Packages that a project imports, or its tests do."""

_NAME = re.compile(r"[^\x00-\x1f\x7f\\\"`{}<>|]{1,60}")
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,39}")


class AnswersError(ValueError):
    """An answer cannot be used; the text is a sentence for the user."""


@dataclass(frozen=True)
class Answers:
    """Answers of a user.

    Args:
        project_name: Title, as people read it.
        project_slug: Name of folder, realm, client, database, image and Redis prefix.
        module_name: Package of the application.
        keep_example: Whether the domain ``authors`` stays.
    """

    project_name: str = "My project"
    project_slug: str = "my_project"
    module_name: str = "app"
    keep_example: bool = True

    def __post_init__(self) -> None:
        """Refuse what cannot be used.

        Raises:
            AnswersError: With the reason.
        """
        for reason in (name_fault(self.project_name), slug_fault(self.project_slug), module_fault(self.module_name)):
            if reason:
                raise AnswersError(reason)


def name_fault(name: str) -> str:
    """Return why a project cannot be called so, or nothing."""
    if name.strip() == name and _NAME.fullmatch(name) and name.isprintable():
        return ""
    return (
        f"project_name {name!r}: 1 to 60 characters, none of them a quotation mark, backslash, backtick, brace, pipe, "
        "angle bracket or control character, and no blanks around it."
    )


def slug_fault(slug: str) -> str:
    """Return why a slug cannot be used, or nothing."""
    if _IDENTIFIER.fullmatch(slug) and not slug.endswith("_"):
        return ""
    return (
        f"project_slug {slug!r}: 1 to 40 lower-case letters, digits and underscores, with a letter first and no "
        "underscore last."
    )


def module_fault(module: str) -> str:
    """Return why a module cannot be called so, or nothing."""
    if not _IDENTIFIER.fullmatch(module):
        return (
            f"module_name {module!r}: 1 to 40 lower-case letters, digits and underscores, with a letter first, as in "
            "`import shop`."
        )
    if keyword.iskeyword(module) or keyword.issoftkeyword(module):
        return f"module_name {module!r} is a keyword of Python: choose another name."
    if module in sys.stdlib_module_names:
        return f"module_name {module!r} is a module of Python's standard library: choose another name."
    if module in OWN_NAMES:
        return f"module_name {module!r} is a name that the project has already: choose another name."
    if module in DEPENDENCIES:
        return f"module_name {module!r} is a package that the project uses: choose another name."
    return ""


def parse(text: str) -> dict[str, object]:
    """Read an answers file: a line for each answer, whose value is written as JSON (which YAML reads, too).

    Raises:
        AnswersError: A line is something else.
    """
    found: dict[str, object] = {}
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        name, _, value = line.partition(": ")
        try:
            found[name] = json.loads(value)
        except ValueError as error:
            raise AnswersError(f"{FILE}: not an answer: {line}") from error
    return found


def render(answers: Answers, commit: str | None, address: str) -> str:
    """Return the text of an answers file.

    Args:
        answers: To write.
        commit: Version of the template, as ``git describe`` names it; None where there is none.
        address: Folder or git address of the template.
    """
    values: dict[str, object] = {"_commit": commit, "_src_path": address}
    values |= {name: getattr(answers, name) for name in Answers.__dataclass_fields__}
    lines = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in values.items() if value is not None]
    head = "# Written by the template, for `make update`. Change an answer there, not here."
    return "\n".join([head, *lines, ""])


def checked(found: dict[str, object]) -> Answers:
    """Return the answers of a file.

    Raises:
        AnswersError: One is missing, of another type, or cannot be used.
    """
    for name, field in Answers.__dataclass_fields__.items():
        if not isinstance(found.get(name), type(field.default)):
            raise AnswersError(f"{name}: {found.get(name)!r} is no answer.")
    values: dict[str, Any] = {name: found[name] for name in Answers.__dataclass_fields__}
    return Answers(**values)
