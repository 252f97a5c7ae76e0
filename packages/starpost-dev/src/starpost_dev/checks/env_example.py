"""``.env.example``, made from the settings: ``make env-example`` writes it, ``--check`` fails if it is stale."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from starpost.settings import Settings
from starpost_dev.project import Project

FILE = Path(".env.example")

HEAD = """\
# Every variable that the application reads, with its default. Written by `make env-example` from the settings.
# Copy to `.env` and uncomment what you change; the process environment wins over the file.
"""

_SECTIONS = {
    "environment": "The process",
    "keycloak": "Sign-in",
    "actions": "Permissions and browsers",
    "redis": "Redis",
    "db": "PostgreSQL",
    "default": "Lists",
    "ws": "Sockets",
}
"""Titles of sections. A section begins at the first field with this prefix."""


OWN = "The application's own"
"""Title of the last section, for fields that the framework does not have."""


def render(settings: type[Settings]) -> str:
    """Return the text of the file."""
    return HEAD + "".join(_lines(settings))


def _lines(settings: type[Settings]) -> Iterator[str]:
    hints = get_type_hints(settings, include_extras=True)
    fields = {field.name: field for field in msgspec.structs.fields(settings)}
    framework = Settings.__struct_fields__
    begun = set()
    for name in framework:
        prefix = name.partition("_")[0]
        if prefix in _SECTIONS and prefix not in begun:
            begun.add(prefix)
            yield f"\n# ---- {_SECTIONS[prefix]} ----\n"
        yield _variable(fields[name], hints[name])
    own = [field for name, field in fields.items() if name not in framework]
    if own:
        yield f"\n# ---- {OWN} ----\n"
    yield from (_variable(field, hints[field.name]) for field in own)


def _variable(field: msgspec.structs.FieldInfo, hint: Any) -> str:
    value = "" if field.required else value_text(field.default)
    needed = " (needed)" if field.required else ""
    return f"\n# {_describe(field.name, hint)}{needed}\n# {field.name.upper()}={value}\n"


def _describe(name: str, hint: Any) -> str:
    """Return the description of a field, with its possible values.

    Raises:
        ValueError: The field has no description.
    """
    base, *metas = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    text = next((meta.description for meta in metas if isinstance(meta, msgspec.Meta) and meta.description), None)
    if text is None:
        raise ValueError(f"{name}: a field without a description: Annotated[..., Meta(description=...)]")
    if get_origin(base) is Literal:
        text += f" ({', '.join(map(str, get_args(base)))})"
    return text


def value_text(value: Any) -> str:
    """Return a default in the form that the environment needs."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def main(project: Project) -> int:
    """Write the file or check it, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the file is stale")
    is_check = parser.parse_args().check
    text = render(project.settings)
    if not is_check:
        FILE.write_text(text)
    elif not FILE.is_file() or FILE.read_text() != text:
        sys.stderr.write(".env.example is not what the settings say: run `make env-example`\n")
        return 1
    return 0
