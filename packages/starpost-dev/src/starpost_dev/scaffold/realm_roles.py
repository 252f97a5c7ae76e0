"""Roles of a realm file: added and removed, with whatever gives them to somebody."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from starpost_dev.scaffold.json_text import JSONText

Place = tuple[str | int, ...]


def remove_roles(text: str, names: Iterable[str]) -> str:
    """Remove realm and client roles; who had a removed role keeps the others that it brought.

    Raises:
        ValueError: The text is no JSON.
    """
    gone = set(names)
    realm = JSONText(text)
    brings = _composites(realm.value)
    for place, given in list(_lists(realm.value)):
        kept = _without(given, gone, brings)
        if kept == given:
            continue
        if kept:
            realm.replace(place, kept)
        else:
            _remove_empty(realm, place)
    for place, roles in _roles(realm.value):
        for index in reversed(range(len(roles))):
            if roles[index].get("name") in gone:
                realm.remove((*place, index))
        if place[:2] == ("roles", "client") and all(role.get("name") in gone for role in roles):
            _remove_empty(realm, place)
    return realm.text


def _without(given: list[str], gone: set[str], brings: dict[str, list[str]]) -> list[str]:
    """Roles without those that go; each of them is replaced by those that it brought."""
    kept: list[str] = []
    for name in given:
        for each in _without(brings.get(name, []), gone, brings) if name in gone else [name]:
            if each not in kept:
                kept.append(each)
    return kept


def _remove_empty(realm: JSONText, place: Place) -> None:
    """Remove a member, and the objects around it that are empty then."""
    realm.remove(place)
    parent: Any = realm.value
    for key in place[:-1]:
        parent = parent[key]
    if parent == {} and isinstance(place[-2], str):
        _remove_empty(realm, place[:-1])
        if place[-2] == "composites" and realm.has((*place[:-2], "composite")):
            realm.remove((*place[:-2], "composite"))


def _composites(realm: dict[str, Any]) -> dict[str, list[str]]:
    """Realm roles that each realm role brings."""
    return {
        role["name"]: list(role.get("composites", {}).get("realm", []))
        for role in realm.get("roles", {}).get("realm", [])
    }


def _roles(realm: dict[str, Any]) -> Iterator[tuple[Place, list[dict[str, Any]]]]:
    roles = realm.get("roles", {})
    if "realm" in roles:
        yield ("roles", "realm"), roles["realm"]
    for client in list(roles.get("client", {})):
        yield ("roles", "client", client), roles["client"][client]


def _lists(value: Any, place: Place = ()) -> Iterator[tuple[Place, list[str]]]:
    """Every list of role names: of composites, users, groups and scopes. Those of one object, the later ones first."""
    if isinstance(value, dict):
        for key, member in reversed(list(value.items())):
            below = (*place, key)
            if isinstance(member, list) and all(isinstance(each, str) for each in member):
                if key in {"realmRoles", "roles"} or {*place[-2:]} & {"composites", "clientRoles"}:
                    yield below, member
            else:
                yield from _lists(member, below)
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from _lists(member, (*place, index))


def add_roles(text: str, reader: tuple[str, str], editor: tuple[str, str]) -> str:
    """Add two realm roles, the second of which brings the first, where they are missing; give them to somebody.

    Users who have another reader's or editor's role get the new one; if nobody has, `bob` reads and `carol` edits.
    `admin` brings the editor's.

    Args:
        text: The realm file.
        reader: Name and description.
        editor: Name and description.

    Raises:
        ValueError: The text is no JSON.
    """
    realm = JSONText(text)
    there = set(_composites(realm.value))
    for (name, description), brings in ((reader, []), (editor, [reader[0]])):
        if name not in there:
            realm.add(("roles", "realm"), None, None, text=_role(name, description, brings))
    names = [role["name"] for role in realm.value["roles"]["realm"]]
    if "admin" in names and editor[0] not in there:
        _bring(realm, names.index("admin"), editor[0])
    users = [list(user.get("realmRoles", [])) for user in realm.value.get("users", [])]
    edits, reads = ([any(each.endswith(end) for each in roles) for roles in users] for end in ("-editor", "-reader"))
    if not any(edits + reads):
        names = [user.get("username") for user in realm.value.get("users", [])]
        edits, reads = ([name == user for user in names] for name in ("carol", "bob"))
    for index, roles in enumerate(users):
        name = editor[0] if edits[index] else reader[0] if reads[index] else ""
        if name and name not in roles and name not in there:
            realm.add(("users", index, "realmRoles"), None, name)
    return realm.text


def _bring(realm: JSONText, index: int, name: str) -> None:
    """Make a realm role bring another one."""
    place = ("roles", "realm", index)
    if realm.has((*place, "composites", "realm")):
        realm.add((*place, "composites", "realm"), None, name)
        return
    realm.add(place, "composite", value=True)
    realm.add(place, "composites", {"realm": [name]})


def _role(name: str, description: str, brings: Sequence[str]) -> str:
    lines = [f'"name": "{name}"', f'"description": "{description}"']
    if brings:
        named = ", ".join(f'"{each}"' for each in brings)
        lines += ['"composite": true', f'"composites": {{"realm": [{named}]}}']
    inside = ",\n".join(f"        {line}" for line in lines)
    return f"{{\n{inside}\n      }}"
