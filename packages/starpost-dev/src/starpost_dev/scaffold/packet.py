"""Description of a packet to write: names, members and rule, checked."""

import ast
import builtins
import keyword
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from starpost_dev.scaffold.errors import ScaffoldError

DOMAIN: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
PACKET: Final = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
MEMBER: Final = re.compile(r"([a-z][a-z0-9_]*)\s*:\s*([a-z_]+|\[[a-z_]+\])(\?)?(?:\s*=\s*(.+))?")
MAX_NAME: Final = 60
MAX_SUMMARY: Final = 100


@dataclass(frozen=True, slots=True)
class Kind:
    """Type that a member may have.

    Args:
        annotation: Annotation in the code.
        imports: Imports that the annotation needs.
        sample: A valid value, as on the wire.
        code: That value in Python, where it is not a literal.
        literal: The type of its defaults; ``None`` if it takes none.
    """

    annotation: str
    sample: Any
    imports: str = ""
    code: str = ""
    literal: type | None = None


KINDS: Final = {
    "int": Kind("int", 1, literal=int),
    "float": Kind("float", 1.5, literal=float),
    "bool": Kind("bool", True, literal=bool),
    "str": Kind("str", "text", literal=str),
    "id": Kind("Identifier", 1, "from starpost import Identifier", literal=int),
    "name": Kind("Name", "name", "from starpost import Name", literal=str),
    "line": Kind("Line", "text", "from starpost import Line", literal=str),
    "page": Kind("PageNumber", 1, "from starpost import PageNumber", literal=int),
    "per_page": Kind("PageSize", 20, "from starpost import PageSize", literal=int),
    "date": Kind("dt.date", "2030-01-31", "import datetime as dt", "dt.date(2030, 1, 31)"),
    "datetime": Kind(
        "dt.datetime", "2030-01-31T12:00:00Z", "import datetime as dt", "dt.datetime(2030, 1, 31, 12, tzinfo=dt.UTC)"
    ),
    "uuid": Kind(
        "UUID",
        "550e8400-e29b-41d4-a716-446655440000",
        "from uuid import UUID",
        'UUID("550e8400-e29b-41d4-a716-446655440000")',
    ),
}
"""Types by name. ``[int]`` is a list, ``int?`` may be null and is null by default."""

UNFIT: Final = frozenset({"dt", "int", "float", "bool", "str", "list"})
"""Names that would hide a type from the members that follow."""


@dataclass(frozen=True, slots=True)
class Member:
    """Member of a payload or a reply."""

    name: str
    kind: Kind
    is_list: bool = False
    is_optional: bool = False
    default: str | None = None

    @property
    def annotation(self) -> str:
        """Annotation in the code."""
        inner = f"list[{self.kind.annotation}]" if self.is_list else self.kind.annotation
        return f"{inner} | None" if self.is_optional else inner

    @property
    def is_required(self) -> bool:
        """True if a client must send it."""
        return self.default is None

    @property
    def sample(self) -> Any:
        """Return a valid value, as on the wire."""
        return [self.kind.sample] if self.is_list else self.kind.sample

    @property
    def sample_code(self) -> str:
        """Return the sample as Python code."""
        code = self.kind.code or repr(self.kind.sample)
        return f"[{code}]" if self.is_list else code


@dataclass(frozen=True, slots=True)
class Reply:
    """Reply of the handler: nothing, an object or a list of objects."""

    members: tuple[Member, ...]
    is_list: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """Packet to write.

    Args:
        domain: Name of the domain's folder, a new or an existing one.
        name: Name of the number, in capitals.
        fields: Members of the payload.
        reply: Reply of the handler.
        rule: Rule in the form of ``actions.json``.
        summary: Docstring of the handler.

    Raises:
        ScaffoldError: A name cannot be used.
    """

    domain: str
    name: str
    fields: tuple[Member, ...]
    reply: Reply
    rule: Any
    summary: str

    def __post_init__(self) -> None:
        check_domain(self.domain)
        check_name(self.name)
        check_summary(self.summary)

    @property
    def function(self) -> str:
        """Name of the handler."""
        return self.name.lower()

    @property
    def request_class(self) -> str:
        """Name of the payload's struct."""
        return f"{class_of(self.name)}Request"

    @property
    def reply_class(self) -> str:
        """Name of the reply's struct."""
        return f"{class_of(self.name)}Reply"


def class_of(name: str) -> str:
    """Name of a class: `book_review` is `BookReview`."""
    return "".join(word.capitalize() for word in name.split("_"))


def check_domain(name: str) -> str:
    """Check and return the name of a domain's folder.

    Raises:
        ScaffoldError: The name is not valid.
    """
    if DOMAIN.fullmatch(name) is None or len(name) > MAX_NAME:
        raise ScaffoldError(f"{name!r} is no domain's name: lower-case words joined by `_`, such as `book_reviews`")
    if keyword.iskeyword(name):
        raise ScaffoldError(f"{name!r} is a word of Python, and no name of a folder with modules")
    return name


def check_name(name: str) -> str:
    """Check and return the name of a packet's number, which in lower case is the name of its handler.

    Raises:
        ScaffoldError: The name is not valid.
    """
    if PACKET.fullmatch(name) is None or len(name) > MAX_NAME:
        raise ScaffoldError(f"{name!r} is no packet's name: capital words joined by `_`, such as `GET_REVIEWS`")
    function = name.lower()
    if keyword.iskeyword(function) or hasattr(builtins, function):
        raise ScaffoldError(f"{name!r}: its handler would be called {function!r}, which Python has already")
    return name


def check_summary(text: str) -> str:
    """Check and return a docstring of one line.

    Raises:
        ScaffoldError: The text is not valid.
    """
    if not text.isprintable() or not text.strip() or len(text) > MAX_SUMMARY or '"' in text or "\\" in text:
        raise ScaffoldError(f'a summary is one line of at most {MAX_SUMMARY} characters, without `"` and `\\`')
    return text


def default_summary(name: str) -> str:
    """Return the docstring of a handler without a summary."""
    return f"{name.replace('_', ' ').capitalize()}."


def parse_fields(text: str) -> tuple[Member, ...]:
    """Parse ``name:type, name:type?, name:[type]=default``. Return the required members first.

    Raises:
        ScaffoldError: The text is not valid; the message says why, and lists the types.
    """
    members: list[Member] = []
    for part in _split(text):
        member = _member(part)
        if any(member.name == other.name for other in members):
            raise ScaffoldError(f"the member {member.name!r} is named twice")
        members.append(member)
    return tuple(sorted(members, key=lambda member: not member.is_required))


def parse_reply(text: str) -> Reply:
    """Parse ``-`` for nothing, members for an object, members in brackets for a list of objects.

    Raises:
        ScaffoldError: The text is not valid; the message says why.
    """
    text = text.strip()
    if text in ("", "-"):
        return Reply(())
    is_list = text.startswith("[") and text.endswith("]") and not text.startswith("[]")
    members = parse_fields(text[1:-1] if is_list else text)
    if not members:
        raise ScaffoldError("a list of objects needs at least one member: [id:int]")
    for member in members:
        if member.default not in (None, "None"):
            raise ScaffoldError(f"the member {member.name!r} of a reply takes no default")
    return Reply(members, is_list)


def parse_rule(text: str, roles: Sequence[str]) -> Any:
    """Parse ``role``; ``role,role`` for all of them; ``any:role,role`` for one of them; ``authenticated``.

    Raises:
        ScaffoldError: It is none of these, or names a role that ``actions.json`` does not declare.
    """
    text = text.strip()
    if text == "authenticated":
        return text
    if text == "public":
        raise ScaffoldError("`public` is for HTTP only: a socket belongs to a user; say `authenticated`")
    is_any = text.startswith("any:")
    names = [name.strip() for name in text.removeprefix("any:").split(",")]
    for name in names:
        if name not in roles:
            raise ScaffoldError(f"there is no role {name!r} in actions.json; there are: {', '.join(sorted(roles))}")
    if len(set(names)) < len(names):
        raise ScaffoldError("a role is named twice")
    if is_any:
        return {"any": names}
    return names if len(names) > 1 else names[0]


def _split(text: str) -> list[str]:
    """Split at commas, except inside a quoted default."""
    parts, quote, start = [], "", 0
    for index, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char == ",":
            parts.append(text[start:index])
            start = index + 1
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()]


def _member(text: str) -> Member:
    match = MEMBER.fullmatch(text)
    if match is None:
        raise ScaffoldError(f"{text!r} is no member: `name:type`, `name:type?`, `name:[type]`, `name:type=default`")
    name, word, optional, default = match.groups()
    if keyword.iskeyword(name) or name in UNFIT or len(name) > MAX_NAME:
        raise ScaffoldError(f"a member cannot be called {name!r}")
    is_list = word.startswith("[")
    kind = KINDS.get(word.strip("[]"))
    if kind is None:
        raise ScaffoldError(f"there is no type {word.strip('[]')!r}; there are: {', '.join(KINDS)}")
    if optional and default is not None:
        raise ScaffoldError(f"{name!r}: what may be null is null by default")
    if default is not None:
        default = _default(name, kind, default, is_list=is_list)
    return Member(name, kind, is_list, bool(optional), "None" if optional else default)


def _default(name: str, kind: Kind, text: str, *, is_list: bool) -> str:
    if is_list:
        if text != "[]":
            raise ScaffoldError(f"{name!r}: the default of a list is []")
        return "[]"
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = text
    if kind.literal is float and type(value) is int:
        value = float(value)
    if kind.literal is str and not isinstance(value, str):
        value = text
    if kind.literal is None or type(value) is not kind.literal:
        raise ScaffoldError(f"{name!r}: {text!r} is no default of this type")
    return repr(value)
