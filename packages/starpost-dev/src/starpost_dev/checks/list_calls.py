"""Lists of an application, packets and routes that reply with a ``Page``, and calls of each with its parameters.

The calls come from the types of the parameters, so that a new list is called without being named anywhere: by number,
at the last page that is allowed, by cursor and its next page, and with each filter.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple, get_origin, get_type_hints
from uuid import UUID

import msgspec
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from starpost.auth.principal import Principal
from starpost.contract.examples import example_of
from starpost.db.pagination import MAX_OFFSET
from starpost.db.types import MAX_PAGE_SIZE
from starpost.di import Plan
from starpost.packets import PacketRegistry, PacketRoute
from starpost.packets.request import RequestModel
from starpost.protocol.pages import CursorMeta, Page
from starpost_dev.checks.seeding import WORD

TEXTS: Final = ("not there", "qq", "q", "...", WORD)
"""Parts of a text, each of which is searched in another way. Every row has the last one, and none has another."""

_SOMEBODY: Final = Principal(
    user_id="1", username="somebody", roles=frozenset(), issued_at=0, expires_at=2**40, session_id=None
)
_NO_REQUEST: Final = UUID(int=0)

Ask = Callable[[Any], Awaitable[Page[Any]]]


class ListOf(NamedTuple):
    """List: its name, the type of its parameters, and the function that gives a page."""

    name: str
    parameters: Any
    ask: Ask

    def calls(self) -> Iterator[dict[str, Any]]:
        """Yield the parameters of each call, as a client would send them."""
        (schema,), components = msgspec.json.schema_components((self.parameters,), ref_template="#/$defs/{name}")
        least = example_of(schema, components)
        members = _members(schema, components)
        positions: list[dict[str, Any]] = [{}]
        if "cursor" in members:
            positions.append({"cursor": ""})
        yield from ({**least, **position} for position in positions)
        if "page" in members and "per_page" in members:
            yield {**least, "page": MAX_OFFSET // MAX_PAGE_SIZE + 1, "per_page": MAX_PAGE_SIZE}
        optional = {name: schema for name, schema in members.items() if name not in least}
        for changed in _changes(optional, components):
            yield from ({**least, **changed, **position} for position in positions)

    async def walk(self, parameters: Mapping[str, Any]) -> None:
        """Ask for the page, and for the next one if it has a cursor."""
        page = await self.ask(msgspec.convert(parameters, self.parameters))
        if isinstance(page.meta, CursorMeta) and page.meta.next is not None:
            await self.ask(msgspec.convert({**parameters, "cursor": page.meta.next}, self.parameters))


def lists_of(app: Litestar, registry: PacketRegistry, package: str) -> list[ListOf]:
    """Return the lists of an application, whose domains are in a package."""
    packets = [_packet(route) for route in registry.values() if not route.is_system and get_origin(route.reply) is Page]
    routes = [
        _route(handler, f"{method} {route.path_format}")
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if handler.fn.__module__.startswith(f"{package}.")
        and get_origin(get_type_hints(handler.fn).get("return")) is Page
        for method in sorted(handler.http_methods - {"HEAD", "OPTIONS"})
    ]
    return [*packets, *routes]


def _packet(route: PacketRoute) -> ListOf:
    async def ask(data: Any) -> Page[Any]:
        request = RequestModel(route.pkg_id, _NO_REQUEST, data, _SOMEBODY)
        async with route.plan.resolve({"request": request, "principal": _SOMEBODY, "connection": None}) as arguments:
            page: Page[Any] = await route.declaration.handler(**arguments)
            return page

    return ListOf(route.name, route.payload, ask)


def _route(handler: HTTPRouteHandler, name: str) -> ListOf:
    providers = {name: provide for name, provide in handler.resolve_dependencies().items() if name != "principal"}
    given = {"principal": _SOMEBODY, "request": None}
    hints = get_type_hints(handler.fn, include_extras=True)
    declared = inspect.signature(handler.fn).parameters
    provided = tuple(name for name in declared if name in providers or name in given)
    plan = Plan(provided, providers, frozenset(given))
    fields = [
        (name, hints[name]) if each.default is each.empty else (name, hints[name], each.default)
        for name, each in declared.items()
        if name not in provided
    ]

    async def ask(parameters: Any) -> Page[Any]:
        async with plan.resolve(dict(given)) as arguments:
            page: Page[Any] = await handler.fn(**arguments, **msgspec.structs.asdict(parameters))
            return page

    return ListOf(name, msgspec.defstruct("Parameters", fields, kw_only=True), ask)


def _members(schema: Mapping[str, Any], components: Mapping[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        schema = components[schema["$ref"].rpartition("/")[2]]
    members: dict[str, Any] = schema.get("properties", {})
    return members


def _changes(members: Mapping[str, Any], components: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield each value of each member that is not about the position, alone."""
    for name, schema in members.items():
        if name not in {"page", "per_page", "cursor"}:
            yield from ({name: value} for value in _values(schema, components, name))


def _values(schema: Mapping[str, Any], components: Mapping[str, Any], name: str) -> Iterator[Any]:
    members = _members(schema, components)
    if members:
        yield from _changes(members, components)
    elif "anyOf" in schema:
        for each in schema["anyOf"]:
            yield from _values(each, components, name)
    elif schema.get("type") == "string" and not schema.keys() & {"format", "enum", "const"}:
        yield from TEXTS
    elif schema.get("type") == "array":
        yield [example_of(schema["items"], components, name)] if "items" in schema else []
    elif schema.get("type") != "null":
        yield example_of(schema, components, name)
