"""Domain to be written: its names, the fields of its table and its roles, checked."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from starpost_dev.scaffold.columns import COLUMNS, ColumnKind
from starpost_dev.scaffold.errors import ScaffoldError
from starpost_dev.scaffold.packet import DOMAIN, check_domain, class_of
from starpost_dev.scaffold.reading import table_of

FIELD: Final = re.compile(r"([a-z][a-z0-9]*(?:_[a-z0-9]+)*)\s*:\s*([a-z_]+)(\?)?(?:\s*:\s*(unique))?")
ROLE: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
MAX_NAME: Final = 30
"""Characters of a domain's or a field's name, so that the lines that name both stay short."""

GIVEN: Final = frozenset(
    {
        "body", "broker", "caller", "connection", "cookies", "data", "events", "headers", "keycloak", "lease",
        "principal", "query", "request", "scope", "session", "settings", "socket", "state", "statements", "topics",
        "unit_of_work",
    }
)  # fmt: skip
"""Names of what Litestar and the framework give to handlers."""

UNFIT_FIELDS: Final = frozenset(
    {
        "awaitable_attrs", "bool", "created_at", "cursor", "dt", "filters", "float", "id", "ids", "int", "metadata",
        "page", "per_page", "registry", "str", "to_dict",
    }
)  # fmt: skip
"""Names that every table, list or module has already."""

UNFIT_CLASSES: Final = frozenset(
    {
        "Any", "BaseModel", "Cursor", "Database", "Decimal", "Domain", "FieldError", "Identifier", "IdentifierInPath",
        "Issuer", "Launched", "Line", "Literal", "Meta", "NamedDependency", "NoData", "Page", "Provide", "Publisher",
        "RequestModel", "Router", "Statement", "Statements", "Struct", "Text", "Topic", "Uuid",
    }
)  # fmt: skip
"""Names that the modules of a domain import."""

FORMS: Final = "`name:type`, `name:type?` (may be null), `name:type:unique` (no two rows have the same)"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the table."""

    name: str
    kind: ColumnKind
    is_optional: bool = False
    is_unique: bool = False

    @property
    def words(self) -> str:
        """Name in a sentence."""
        return self.name.replace("_", " ")

    @property
    def stored(self) -> str:
        """Type in the model and in the view."""
        return f"{self.kind.stored} | None" if self.is_optional else self.kind.stored

    @property
    def sent(self) -> str:
        """Type of what a client sends."""
        sent = self.kind.sent or self.kind.stored
        return f"{sent} | None = None" if self.is_optional else sent

    @property
    def is_searched(self) -> bool:
        """True if lists can be filtered by it: a route cannot have a parameter of a name that Litestar gives."""
        return self.kind.is_searched and self.name not in GIVEN and not hasattr(builtins, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDomain:
    """A domain to be written.

    Args:
        name: Of its folder, in the plural.
        singular: Of one row.
        fields: Of the table.
        reader: Role that may read.
        editor: Role that may add and change, too.
        admin: Role that may delete, too.

    Raises:
        ScaffoldError: A name cannot be used.
    """

    name: str
    singular: str
    fields: tuple[Field, ...]
    reader: str
    editor: str
    admin: str

    def __post_init__(self) -> None:
        check_plural(self.name)
        check_singular(self.singular, self.name)
        for role in (self.reader, self.editor, self.admin):
            check_role(role)
        taken = {self.name, self.singular, f"{self.singular}_id"} & {field.name for field in self.fields}
        if taken:
            raise ScaffoldError(f"a field of {self.name} cannot be called {min(taken)!r}")

    @property
    def model(self) -> str:
        """Name of the table's class."""
        return class_of(self.singular)

    @property
    def table(self) -> str:
        """Name of the table."""
        return table_of(self.model)

    @property
    def path(self) -> str:
        """Path of the routes."""
        return f"/{self.name.replace('_', '-')}"

    @property
    def many(self) -> str:
        """Rows in a sentence."""
        return self.name.replace("_", " ")

    @property
    def one(self) -> str:
        """Row in a sentence."""
        return self.singular.replace("_", " ")

    @property
    def numbers(self) -> dict[str, str]:
        """Names of the packets by what they do."""
        many, one = self.name.upper(), self.singular.upper()
        return {
            "list": f"GET_{many}",
            "create": f"CREATE_{one}",
            "get": f"GET_{one}",
            "update": f"UPDATE_{one}",
            "delete": f"DELETE_{one}",
            "event": f"{one}_EVENT",
        }

    @property
    def unique(self) -> tuple[Field, ...]:
        """Fields that tell rows apart."""
        return tuple(field for field in self.fields if field.is_unique)

    @property
    def searched(self) -> tuple[Field, ...]:
        """Fields that lists are filtered by."""
        return tuple(field for field in self.fields if field.is_searched)

    def rules(self, numbers: dict[str, int]) -> dict[str, dict[str, object]]:
        """Rules for the permission table, by its members."""
        reader, editor, admin = self.reader, self.editor, self.admin
        roles = {"list": reader, "create": editor, "get": reader, "update": editor, "delete": admin}
        return {
            "ws": {str(numbers[does]): role for does, role in roles.items()},
            "http": {
                self.path: {"GET": reader, "POST": editor},
                f"{self.path}/{{{self.singular}_id}}": {"GET": reader, "PUT": editor, "DELETE": admin},
            },
            "topics": {self.name: reader},
        }


def check_plural(name: str) -> str:
    """The name of a domain's folder.

    Raises:
        ScaffoldError: It cannot be one.
    """
    check_domain(name)
    if len(name) > MAX_NAME:
        raise ScaffoldError(f"{name!r} is too long: a domain's name has {MAX_NAME} characters at most")
    if name in GIVEN:
        raise ScaffoldError(f"a domain cannot be called {name!r}: so is called what handlers get from the framework")
    return name


def check_singular(name: str, plural: str) -> str:
    """The name of one row.

    Raises:
        ScaffoldError: It cannot be one.
    """
    if DOMAIN.fullmatch(name) is None or len(name) > MAX_NAME or keyword.iskeyword(name):
        raise ScaffoldError(f"{name!r} is no name of one row: lower-case words joined by `_`, such as `book_review`")
    if name == plural:
        raise ScaffoldError(f"one row and many of them need different names; both are {name!r}")
    if class_of(name) in UNFIT_CLASSES:
        raise ScaffoldError(f"its class would be called {class_of(name)}, which the modules of a domain import already")
    return name


def singular_of(plural: str) -> str:
    """The name of one row, where the plural follows the rule.

    Raises:
        ScaffoldError: It does not; then somebody has to say it.
    """
    for ending, instead in (("ies", "y"), ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("shes", "sh")):
        if plural.endswith(ending) and len(plural) > len(ending) + 1:
            return plural.removesuffix(ending) + instead
    if not plural.endswith("s") or plural.endswith(("ss", "us", "is")) or len(plural) < 3:
        raise ScaffoldError(f"what is one of {plural!r}? Say it: SINGULAR=… (such as SINGULAR=person for people)")
    return plural.removesuffix("s")


def check_role(name: str) -> str:
    """The name of a role.

    Raises:
        ScaffoldError: It cannot be one.
    """
    if ROLE.fullmatch(name) is None or name in {"public", "authenticated"}:
        raise ScaffoldError(f"{name!r} is no role: lower-case words joined by `-`, such as `review-reader`")
    return name


def parse_table(text: str) -> tuple[Field, ...]:
    """Fields from ``title:line:unique, rating:int, note:text?``.

    Raises:
        ScaffoldError: What is wrong, with the types that there are.
    """
    fields: list[Field] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        field = _field(part)
        if any(field.name == other.name for other in fields):
            raise ScaffoldError(f"the field {field.name!r} is named twice")
        fields.append(field)
    if all(field.is_optional for field in fields):
        raise ScaffoldError(f"a table needs at least one field that must be given: {FORMS}")
    return tuple(fields)


def _field(text: str) -> Field:
    match = FIELD.fullmatch(text)
    if match is None:
        raise ScaffoldError(f"{text!r} is no field: {FORMS}")
    name, word, is_optional, is_unique = match.groups()
    if keyword.iskeyword(name) or name in UNFIT_FIELDS or len(name) > MAX_NAME:
        raise ScaffoldError(f"a field cannot be called {name!r}")
    kind = COLUMNS.get(word)
    if kind is None:
        raise ScaffoldError(f"there is no type {word!r}; there are: {', '.join(COLUMNS)}")
    if is_unique and not kind.may_be_unique:
        raise ScaffoldError(f"{name!r}: a {word} cannot tell rows apart")
    return Field(name, kind, bool(is_optional), bool(is_unique))


def imports_of(lines: Iterable[Iterable[str]]) -> list[str]:
    """Every line once."""
    return sorted({line for each in lines for line in each})
