"""``pyproject.toml`` of a project, by structure: comments and order live."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import tomlkit
from tomlkit.container import Container
from tomlkit.items import AoT, Array, Comment, Key, Null, Table

from template.exporter.answers import Answers
from template.exporter.module import MODULE
from template.exporter.selection import is_exported

DROPPED_GROUPS = ("bench", "template")

FRAMEWORK = ("starpost", "starpost_dev")


def edited(text: str, answers: Answers, wheels: Mapping[str, str], lock: str) -> str:
    """Return the project's file.

    Args:
        text: Ours.
        answers: The user's.
        wheels: Path of each distribution's wheel.
        lock: The project's ``dev.lock``.
    """
    document = tomlkit.parse(text)
    document["project"]["name"] = answers.project_slug
    document["project"]["description"] = f"{answers.project_name}."
    groups = document["dependency-groups"]
    for name in DROPPED_GROUPS:
        if name in groups:
            _drop(groups, name)
    for index, entry in reversed([*enumerate(groups["dev"])]):
        if isinstance(entry, Mapping) and entry["include-group"] in DROPPED_GROUPS:
            del groups["dev"][index]
    _keep_pins(document["tool"]["uv"], lock)
    _take_wheels(document, wheels)
    _keep_contracts(document["tool"]["importlinter"])
    _drop_what_is_not_exported(document["tool"])
    for array in _arrays(document["tool"]):
        for index, value in enumerate(array):
            if isinstance(value, str) and (value == MODULE or value.startswith((f"{MODULE}.", f"{MODULE}/"))):
                array[index] = answers.module_name + value.removeprefix(MODULE)
    _drop(document["tool"]["pytest"]["ini_options"], "markers")
    document["tool"]["starpost"]["module"] = answers.module_name
    # `make vendor-source` unpacks the framework there; it has its own settings for these.
    document["tool"]["ruff"]["extend-exclude"].append("packages")
    document["tool"]["codespell"]["skip"] += ",./packages,./vendor"
    return tomlkit.dumps(document)


def _take_wheels(document: tomlkit.TOMLDocument, wheels: Mapping[str, str]) -> None:
    uv = document["tool"]["uv"]
    for name in ("workspace", "sources"):
        _drop(uv, name)
    sources = tomlkit.inline_table()
    for name, path in wheels.items():
        source = tomlkit.inline_table()
        source["path"] = path
        sources[name] = source
    uv.add(
        tomlkit.comment("The framework comes from vendor/. Without this line it comes from an index; then `make lock`.")
    )
    uv.add("sources", sources)
    uv.add(tomlkit.nl())


def _keep_pins(uv: Table, lock: str) -> None:
    """Leave the constraints that ``make lock`` would write: a pin for each of the lock."""
    pins = uv["constraint-dependencies"]
    for index in reversed(range(len(pins))):
        if f"{pins[index]} \\\n" not in lock:
            del pins[index]


def _keep_contracts(linter: Table) -> None:
    """Keep the contracts about the application, and in them what is about it."""
    contracts = linter["contracts"]
    for index in reversed(range(len(contracts))):
        contract = contracts[index]
        about: Any = next((contract[name] for name in ("source_modules", "ancestors") if name in contract), [])
        if not any(name.split(".")[0] == MODULE for name in about):
            del contracts[index]
            continue
        for position in reversed(range(len(about))):
            if about[position].split(".")[0] in FRAMEWORK:
                del about[position]


def _drop_what_is_not_exported(table: Any) -> None:
    for key, value in [*table.items()]:
        if _is_gone(key):
            _drop(table, key)
        elif isinstance(value, Array):
            gone = [index for index, entry in enumerate(value) if isinstance(entry, str) and _is_gone(entry)]
            for index in reversed(gone):
                del value[index]
            if gone and not value:
                _drop(table, key)
            elif gone:
                _drop_comment(table, key)
        elif isinstance(value, AoT):
            for entry in value:
                _drop_what_is_not_exported(entry)
        elif isinstance(value, Mapping):
            _drop_what_is_not_exported(value)


def _is_gone(name: str) -> bool:
    return not is_exported(name.removeprefix("./"))


def _arrays(item: Any) -> Iterator[Array]:
    if isinstance(item, Array):
        yield item
    elif isinstance(item, Mapping):
        for value in item.values():
            yield from _arrays(value)
    elif isinstance(item, list):
        for value in item:
            yield from _arrays(value)


def _drop(table: Any, key: str) -> None:
    _drop_comment(table, key)
    table.remove(key)


def _drop_comment(table: Any, key: str) -> None:
    """Remove the comment directly above a key."""
    body = _body(table)
    place = next(index for index, (name, _) in enumerate(body) if isinstance(name, Key) and name.key == key)
    for index in range(place - 1, -1, -1):
        item = body[index][1]
        if isinstance(item, Comment):
            body[index] = (None, Null())
        elif not isinstance(item, Null):
            break


def _body(table: Any) -> list[tuple[Key | None, Any]]:
    container: Container = table if isinstance(table, Container) else table.value
    return container.body
