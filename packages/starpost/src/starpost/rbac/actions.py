"""Permission table, read from ``actions.json``. No rule means no.

The file is checked as a whole, before the application starts: every fault is reported with its JSON path.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from starpost.errors import FieldError, StartError
from starpost.rbac.rules import AUTHENTICATED, NOBODY, PUBLIC, AllOf, AnyOf, EitherOf, Rule

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
RESERVED_ROLES = frozenset({"public", "authenticated"})

_MEMBERS = ("$schema", "roles", "ws", "http", "topics")
PKG_ID = re.compile(r"[1-9][0-9]{0,14}")
"""Packet number: positive, without leading zeros or signs, so that each number has one spelling. Every JSON reader
keeps 15 digits exactly."""
HTTP_PATH = re.compile(r"/|(/([A-Za-z0-9._~-]+|\{[A-Za-z_][A-Za-z0-9_]*\}))+")
TOPIC = re.compile(r"[A-Za-z0-9_-]+(\.([A-Za-z0-9_-]+|\{[A-Za-z_][A-Za-z0-9_]*\}))*")
_PLAIN_MEMBER = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")

_MAX_ROLE_SETS = 4096


class ActionsError(StartError):
    """The permission table has faults; the message has one line for each.

    Attributes:
        faults: All faults, each with its JSON path.
    """

    def __init__(self, source: str, faults: list[FieldError]) -> None:
        self.faults = faults
        lines = "\n".join(f"  {fault.path}: {fault.msg}" for fault in faults)
        super().__init__(f"{source} is not a valid permission table:\n{lines}")


class ActionTable:
    """Rules for sending packets, calling routes and subscribing to topics.

    Args:
        roles: Roles that rules may name.
        ws: Rules by ``pkg_id``.
        http: Rules by path template and method.
        topics: Rules by the declared name of the topic, parameters included.
    """

    def __init__(
        self,
        roles: frozenset[str],
        ws: Mapping[int, Rule],
        http: Mapping[tuple[str, str], Rule],
        topics: Mapping[str, Rule],
    ) -> None:
        self.roles = roles
        self.ws = dict(ws)
        self.http = dict(http)
        self.topics = dict(topics)
        self._http_with_options = self.http | _options_rules(self.http)
        # One cache per table, as two applications in one process must not share it. Bounded, as tokens choose the
        # roles.
        self.packets_for = lru_cache(_MAX_ROLE_SETS)(self._packets_for)

    @classmethod
    def load(cls, path: Path) -> "ActionTable":
        """Read and check the file.

        Raises:
            ActionsError: The file cannot be read or has faults; the error lists all.
        """
        table, faults = cls.examine(path)
        if table is None or faults:
            raise ActionsError(str(path), faults)
        return table

    @classmethod
    def parse(cls, document: bytes) -> "ActionTable":
        """Check and compile a document.

        Raises:
            ActionsError: The document has faults; the error lists all.
        """
        reader = _Reader()
        table = reader.read(document)
        if table is None or reader.faults:
            raise ActionsError("the document", reader.faults)
        return table

    @classmethod
    def examine(cls, path: Path) -> tuple["ActionTable | None", list[FieldError]]:
        """Return the file's table and its faults, so that they can be reported together with faults of the code.

        A table with faults can still be compared with the code: an invalid rule lets nobody through. The table is
        ``None`` if the file cannot be read or is not a JSON object.
        """
        try:
            document = path.read_bytes()
        except OSError as error:
            return None, [FieldError("$", f"cannot be read: {error.strerror}")]
        reader = _Reader()
        return reader.read(document), reader.faults

    def without_public(self, is_closed: Callable[[str], bool]) -> "ActionTable":
        """Return a table in which some public routes let nobody through. Other rules stay as they are.

        Args:
            is_closed: Returns whether the public rule of a path template is closed.
        """
        http = {
            (template, method): NOBODY if rule.is_public and is_closed(template) else rule
            for (template, method), rule in self.http.items()
        }
        return ActionTable(self.roles, self.ws, http, self.topics)

    def _packets_for(self, roles: frozenset[str]) -> frozenset[int]:
        """Return the packets that an authenticated caller with these roles may send."""
        return frozenset(pkg_id for pkg_id, rule in self.ws.items() if rule.allows(roles))

    def http_rule(self, template: str, method: str) -> Rule | None:
        """Return the rule of a route; ``None`` means that nobody may call it.

        ``OPTIONS`` without a rule of its own is allowed to everyone who may use another method of the path.
        """
        return self._http_with_options.get((template, method))

    def topic_rule(self, name: str) -> Rule | None:
        """Return the rule of a topic by its declared name (``authors.{author_id}``); ``None`` means nobody."""
        return self.topics.get(name)


def _options_rules(http: Mapping[tuple[str, str], Rule]) -> dict[tuple[str, str], Rule]:
    rules: dict[str, list[Rule]] = {}
    for (template, _), rule in http.items():
        rules.setdefault(template, []).append(rule)
    return {
        (template, "OPTIONS"): PUBLIC if any(rule.is_public for rule in found) else EitherOf(tuple(found))
        for template, found in rules.items()
        if (template, "OPTIONS") not in http
    }


class _Object(dict[str, Any]):
    """JSON object that records repeated members; ``json`` would silently keep the last."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        names = [name for name, _ in pairs]
        self.repeated = sorted({name for name in names if names.count(name) > 1}) if len(self) < len(names) else []


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


class _Reader:
    """Parser of one document, which collects its faults."""

    def __init__(self) -> None:
        self.faults: list[FieldError] = []
        self._roles: frozenset[str] = frozenset()

    def read(self, document: bytes) -> ActionTable | None:
        """Return the table, in which invalid rules let nobody through; ``None`` if there is none. Fills ``faults``."""
        try:
            root = json.loads(document, object_pairs_hook=_Object, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            self._fault("$", f"is not JSON: {error}")
            return None
        if not isinstance(root, _Object):
            self._fault("$", "must be an object")
            return None
        self._check_members(root)
        self._roles = self._read_roles(root)
        return ActionTable(
            self._roles,
            dict(self._read_ws(self._section(root, "ws"))),
            dict(self._read_http(self._section(root, "http"))),
            dict(self._read_topics(self._section(root, "topics"))),
        )

    def _fault(self, path: str, msg: str) -> None:
        self.faults.append(FieldError(path, msg))

    def _check_members(self, root: _Object) -> None:
        self._check_repeated("$", root)
        for name in root:
            if name not in _MEMBERS:
                self._fault(_member("$", name), f"unknown member; known are {', '.join(_MEMBERS)}")
        if not isinstance(root.get("$schema", ""), str):
            self._fault("$.$schema", "must be a string")

    def _check_repeated(self, path: str, value: _Object) -> None:
        for name in value.repeated:
            self._fault(_member(path, name), "is given more than once")

    def _section(self, root: _Object, name: str) -> _Object:
        value = root.get(name, _Object([]))
        if not isinstance(value, _Object):
            self._fault(f"$.{name}", "must be an object")
            return _Object([])
        self._check_repeated(f"$.{name}", value)
        return value

    def _read_roles(self, root: _Object) -> frozenset[str]:
        if "roles" not in root:
            self._fault("$.roles", "is missing")
            return frozenset()
        names = self._strings("$.roles", root["roles"])
        for index, name in enumerate(names):
            if name in RESERVED_ROLES:
                self._fault(f"$.roles[{index}]", f"{name!r} is a rule and cannot be a role")
        return frozenset(name for name in names if name)

    def _read_ws(self, section: _Object) -> Iterator[tuple[int, Rule]]:
        for key, value in section.items():
            path = _member("$.ws", key)
            if PKG_ID.fullmatch(key) is None:
                self._fault(path, "the key must be a packet number: positive, decimal, without leading zeros")
            else:
                yield int(key), self._rule(path, value)

    def _read_http(self, section: _Object) -> Iterator[tuple[tuple[str, str], Rule]]:
        for template, methods in section.items():
            path = _member("$.http", template)
            self._check_template(path, template)
            if not isinstance(methods, _Object):
                self._fault(path, 'must be an object of methods, such as {"GET": "authenticated"}')
                continue
            self._check_repeated(path, methods)
            if not methods:
                self._fault(path, "names no method")
            for method, value in methods.items():
                if method not in METHODS:
                    self._fault(_member(path, method), f"unknown method; known are {', '.join(METHODS)}")
                yield (template, method), self._rule(_member(path, method), value, is_public_possible=True)

    def _read_topics(self, section: _Object) -> Iterator[tuple[str, Rule]]:
        for name, value in section.items():
            path = _member("$.topics", name)
            if TOPIC.fullmatch(name) is None:
                self._fault(path, "the key must be a topic's name: words joined by dots, {name} for a parameter")
            yield name, self._rule(path, value)

    def _check_template(self, path: str, template: str) -> None:
        if HTTP_PATH.fullmatch(template) is None:
            hint = "; parameters stand without their types" if ":" in template else ""
            self._fault(
                path, f"the key must be a path as in the OpenAPI document, such as /authors/{{author_id}}{hint}"
            )
        parameters = re.findall(r"\{([^}]*)\}", template)
        if len(set(parameters)) < len(parameters):
            self._fault(path, "names a parameter twice")

    def _rule(self, path: str, value: Any, *, is_public_possible: bool = False) -> Rule:
        match value:
            case "public" if is_public_possible:
                return PUBLIC
            case "public":
                self._fault(path, '"public" is for http only: a socket belongs to a user')
                return NOBODY
            case "authenticated":
                return AUTHENTICATED
            case str():
                return AllOf(self._declared([(path, value)]))
            case list():
                return AllOf(roles) if (roles := self._role_list(path, value)) else NOBODY
            case _Object():
                self._check_repeated(path, value)
                for name in value:
                    if name != "any":
                        self._fault(_member(path, name), 'unknown member; the only one is "any"')
                if "any" not in value:
                    self._fault(path, 'must have the member "any"')
                    return NOBODY
                return AnyOf(self._role_list(f"{path}.any", value["any"]))
            case _:
                self._fault(path, 'must be a role, a list of roles, {"any": [...]}, "authenticated" or "public"')
                return NOBODY

    def _role_list(self, path: str, value: Any) -> frozenset[str]:
        names = self._strings(path, value)
        return self._declared([(f"{path}[{index}]", name) for index, name in enumerate(names) if name])

    def _strings(self, path: str, value: Any) -> list[str]:
        """Return the strings of a list. Items that are no strings, empty or repeated are faults."""
        if not isinstance(value, list):
            self._fault(path, "must be a list of roles")
            return []
        if not value:
            self._fault(path, "is empty; leave the rule out to let nobody through")
        strings = []
        for index, item in enumerate(value):
            if not isinstance(item, str) or not item:
                self._fault(f"{path}[{index}]", "must be a role, a string that is not empty")
            elif item in strings:
                self._fault(f"{path}[{index}]", f"{item!r} is given more than once")
            strings.append(item if isinstance(item, str) else "")
        return strings

    def _declared(self, names: list[tuple[str, str]]) -> frozenset[str]:
        for path, name in names:
            if name in RESERVED_ROLES:
                self._fault(path, f"{name!r} stands alone, not in a list")
            elif name not in self._roles:
                self._fault(path, f"undeclared role {name!r}; $.roles declares the roles")
        return frozenset(name for _, name in names)


def _member(path: str, name: str) -> str:
    """Return the JSON path of a member (RFC 9535), in the short form where the name allows it."""
    if _PLAIN_MEMBER.fullmatch(name):
        return f"{path}.{name}"
    return f"{path}[{msgspec.json.encode(name).decode()}]"
