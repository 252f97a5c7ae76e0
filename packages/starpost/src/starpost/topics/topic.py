"""Declaration of topics and pushes."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Generic, Literal, NamedTuple, TypeAlias, TypeVar

import msgspec

from starpost.source_location import location_of_caller

E = TypeVar("E")
Overflow = Literal["drop_oldest", "latest", "close"]
Authorize: TypeAlias = Callable[..., bool | Awaitable[bool]]
"""Check in addition to the rule. Takes by name ``principal``, the topic's parameters, and dependencies of handlers."""

_NAME = re.compile(r"[A-Za-z0-9_-]+(\.([A-Za-z0-9_-]+|\{[A-Za-z_][A-Za-z0-9_]*\}))*")
_PARAMETER = re.compile(r"\{(\w+)\}")
_VALUE: Final = r"([^.{}\x00-\x1f]{1,200})"
RETENTION: Final = 7 * 24 * 3600
"""Seconds after the last event for which a topic's history is kept."""


class Topic(Generic[E]):
    """Events that clients subscribe to by name.

        AUTHORS = Topic("authors", event=AuthorEvent, pkg_id=PkgID.AUTHOR_EVENT)
        BOOKS = Topic("authors.{author_id}", event=BookEvent, pkg_id=PkgID.BOOK_EVENT, params={"author_id": int})
        ORDERS = Topic(
            "orders.{user_id}",
            event=OrderEvent,
            pkg_id=PkgID.ORDER_EVENT,
            authorize=lambda principal, user_id: principal.user_id == user_id,
        )

    Args:
        name: Words joined by dots; ``{name}`` is a parameter.
        event: The type of an event.
        pkg_id: The number of the packet that carries it.
        params: The parameters' types; ``str`` if not named here.
        authorize: Check in addition to the permission table: returns ``True`` or ``False``, at once or awaited.
            Called at SUBSCRIBE, at PRESENCE, and for each subscription when the token is replaced. Until it has
            answered, and if it raises, the answer is no.
        history: Number of events kept for clients that return; 0 keeps none.
        overflow: Policy for a client that reads too slowly: its oldest waiting events are dropped, and it gets a GAP;
            or only the ``latest`` event waits for it; or it is closed with 1013.
        summary: One line for the documents.

    Raises:
        ValueError: The declaration cannot work.
    """

    def __init__(
        self,
        name: str,
        *,
        event: type[E],
        pkg_id: int,
        params: Mapping[str, Any] | None = None,
        authorize: Authorize | None = None,
        history: int = 1000,
        overflow: Overflow = "drop_oldest",
        summary: str = "",
    ) -> None:
        self.location = location_of_caller()
        if _NAME.fullmatch(name) is None:
            raise ValueError(f"{self.location}: topic {name!r}: words joined by dots, {{name}} for a parameter")
        if history < 0:
            raise ValueError(f"{self.location}: topic {name!r}: history is 0 or more")
        names = _PARAMETER.findall(name)
        unknown = set(params or ()) - set(names)
        if unknown or len(set(names)) < len(names):
            raise ValueError(f"{self.location}: topic {name!r}: parameters are named once, and typed only if named")
        self.name = name
        self.event = event
        self.pkg_id = int(pkg_id)
        self.params = {parameter: (params or {}).get(parameter, str) for parameter in names}
        self.authorize = authorize
        self.history = history
        self.overflow: Overflow = overflow
        self.summary = summary
        self._pattern = re.compile(_PARAMETER.sub(lambda _: _VALUE, name.replace(".", r"\.")))

    def instance(self, **params: Any) -> str:
        """The name with its parameters filled in.

        Raises:
            TypeError: A parameter is missing, unknown or of a wrong type.
        """
        if params.keys() != self.params.keys():
            raise TypeError(f"topic {self.name!r} takes the parameters {sorted(self.params)}, not {sorted(params)}")
        if not params:
            return self.name
        name = self.name.format_map({parameter: _text(value) for parameter, value in params.items()})
        if self.resolve(name) is None:
            raise TypeError(f"topic {self.name!r} cannot have the parameters {params!r}")
        return name

    def resolve(self, name: str) -> "TopicInstance | None":
        """Parse a client's name for this topic into its canonical form; ``None`` if it names another topic."""
        match = self._pattern.fullmatch(name)
        if match is None:
            return None
        values = {}
        for (parameter, wanted), text in zip(self.params.items(), match.groups(), strict=True):
            try:
                values[parameter] = msgspec.convert(text, wanted, strict=False)
            except msgspec.ValidationError:
                return None
        canonical = self.name.format_map({parameter: _text(value) for parameter, value in values.items()})
        return TopicInstance(self, canonical, values)


class TopicInstance(NamedTuple):
    """A topic with its parameters filled in."""

    topic: Topic[Any]
    name: str
    """The canonical name."""

    params: Mapping[str, Any]
    """The parameters, in the types that the topic declares."""


def _text(value: Any) -> str:
    return str(msgspec.to_builtins(value))


class Push(Generic[E]):
    """Events that nobody subscribes to: sent to a user, to a role, or to everybody.

    Args:
        pkg_id: The number of the packet that carries it.
        event: The type of an event.
        summary: One line for the documents.
    """

    def __init__(self, *, pkg_id: int, event: type[E], summary: str = "") -> None:
        self.location = location_of_caller()
        self.pkg_id = int(pkg_id)
        self.event = event
        self.summary = summary


class Topics:
    """The topics of one application, by what clients call them."""

    def __init__(self, topics: list[Topic[Any]]) -> None:
        self._plain = {topic.name: topic for topic in topics if not topic.params}
        self._templates = [topic for topic in topics if topic.params]
        self.all = tuple(topics)

    def resolve(self, name: str) -> TopicInstance | None:
        """Find the topic of a client's name."""
        plain = self._plain.get(name)
        if plain is not None:
            return TopicInstance(plain, name, {})
        for topic in self._templates:
            found = topic.resolve(name)
            if found is not None:
                return found
        return None
