"""Registry of packets: each with its types and its plan, made once at start and never changed."""

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
from litestar.di import Provide
from msgspec import inspect as type_inspect

from starpost.di import Plan, WrongDependencyError, parameters_of
from starpost.errors import StartError
from starpost.packets.numbers import SystemPacket
from starpost.packets.request import NoData, RequestModel
from starpost.packets.router import Declaration
from starpost.protocol.codecs import CODECS
from starpost.protocol.envelope import MAX_PACKET_ID, ResponseModel
from starpost.protocol.pages import Page
from starpost.source_location import location_of_number

GIVEN = frozenset({"request", "principal", "connection"})
"""Names of parameters whose values come from the packet itself."""


class DeclarationError(StartError):
    """The code has invalid declarations. ``faults`` has a text for each, with file and line."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("wrong declarations:\n" + "\n".join(f"  {fault}" for fault in self.faults))


@dataclass(frozen=True, slots=True)
class PacketRoute:
    """Route of one packet: payload, reply, and the way to call its handler."""

    pkg_id: int
    name: str
    declaration: Declaration
    payload: Any
    reply: Any
    plan: Plan
    takes_request_alone: bool
    """True for the usual handler without dependencies, which is called without a plan."""
    decoders: Mapping[str, Any] = field(repr=False)

    @property
    def is_system(self) -> bool:
        """True for the framework's own packets."""
        return self.pkg_id < 0


class PacketRegistry(Mapping[int, PacketRoute]):
    """Packets by number."""

    def __init__(self, routes: dict[int, PacketRoute]) -> None:
        self.routes = routes

    def __getitem__(self, pkg_id: int) -> PacketRoute:
        return self.routes[pkg_id]

    def __iter__(self) -> Iterator[int]:
        return iter(self.routes)

    def __len__(self) -> int:
        return len(self.routes)


def freeze(
    declarations: Iterable[Declaration],
    *,
    numbers: Iterable[type[IntEnum]],
    providers: Mapping[str, Provide],
    pushed: frozenset[int] = frozenset(),
) -> tuple[PacketRegistry, list[str]]:
    """Check the declarations, and make the registry of the valid ones.

    Args:
        declarations: Declarations that the routers collected.
        numbers: Enumerations that name the packets.
        providers: Dependencies, by parameter name.
        pushed: Numbers that only the server sends; they need no handler.

    Returns:
        The registry, and every fault; an application with faults does not start.
    """
    numbers = tuple(numbers)
    names, faults = _name(numbers)
    routes: dict[int, PacketRoute] = {}
    handled: dict[int, str] = {}
    for declaration in declarations:
        where = f"{declaration.location}: {getattr(declaration.handler, '__name__', declaration.handler)}"
        problems = _Problems(where, faults)
        payload, reply, parameters = _types_of(declaration, problems)
        plan = _plan(parameters, providers, problems)
        if not declaration.pkg_ids:
            problems.add("register() needs at least one pkg_id")
        for pkg_id in map(int, declaration.pkg_ids):
            if pkg_id in handled:
                problems.add(f"pkg_id {pkg_id} is already handled at {handled[pkg_id]}")
            if pkg_id not in names:
                problems.add(f"pkg_id {pkg_id} has no name in PkgID")
            if pkg_id in pushed:
                problems.add(f"pkg_id {pkg_id} is what the server pushes, and takes no handler")
            handled.setdefault(pkg_id, declaration.location)
        if plan is None or problems.count:
            continue
        wanted = payload | None  # `null` means `{}`, see the dispatcher
        decoders: dict[str, Any] = {codec.name: codec.decoder(wanted) for codec in CODECS}
        for pkg_id in map(int, declaration.pkg_ids):
            routes[pkg_id] = PacketRoute(
                pkg_id,
                names[pkg_id],
                declaration,
                payload,
                reply,
                plan,
                parameters == ("request",),
                decoders,
            )
    faults += [
        f"{location_of_number(number)}: {number.name} = {int(number)}: no handler, and no topic pushes it"
        for enum in numbers
        for number in enum
        if int(number) not in handled and int(number) not in pushed
    ]
    return PacketRegistry(dict(sorted(routes.items()))), faults


def _name(numbers: Iterable[type[IntEnum]]) -> tuple[dict[int, str], list[str]]:
    """Return the packets' names, and the faults of their numbers.

    Numbers that are not positive are reserved for the framework, since every authenticated user may send them.
    """
    names: dict[int, str] = {}
    faults = []
    for enum in numbers:
        for name, number in enum.__members__.items():
            where = f"{location_of_number(number, name)}: {name} = {int(number)}"
            if int(number) in names:
                faults.append(f"{where}: the number of {names[int(number)]}")
            elif enum is not SystemPacket and not 0 < number <= MAX_PACKET_ID:
                faults.append(f"{where}: not between 1 and {MAX_PACKET_ID}; negative numbers are the system's")
            names.setdefault(int(number), name)
    return names, faults


def _plan(parameters: tuple[str, ...], providers: Mapping[str, Provide], problems: "_Problems") -> Plan | None:
    try:
        return Plan(parameters, providers, GIVEN)
    except WrongDependencyError as error:
        problems.add(str(error))
        return None


class _Problems:
    """Collector of the faults of one declaration, a line for each."""

    def __init__(self, where: str, faults: list[str]) -> None:
        self._where = where
        self._faults = faults
        self.count = 0

    def add(self, fault: str) -> None:
        self.count += 1
        self._faults.append(f"{self._where}: {' '.join(fault.split())}")


def _types_of(declaration: Declaration, problems: _Problems) -> tuple[Any, Any, tuple[str, ...]]:
    """Return payload type, reply type and parameter names of a handler."""
    handler = declaration.handler
    if not inspect.iscoroutinefunction(handler):
        problems.add("a handler is an `async def` function")
    parameters, faults = parameters_of(handler)
    for fault in faults:
        problems.add(fault)
    try:
        hints = get_type_hints(handler, include_extras=True)
    except (NameError, TypeError, AttributeError) as error:
        problems.add(f"an annotation cannot be resolved: {error}")
        return NoData, None, parameters
    payload = _payload(declaration, hints, "request" in parameters, problems)
    if "return" not in hints:
        problems.add("the return annotation is missing: it is the type of the reply")
    reply = hints.get("return")
    for fault in _not_a_reply(reply):
        problems.add(fault)
    _check_lane(declaration.lane, payload, problems)
    return payload, reply, parameters


def _payload(declaration: Declaration, hints: Mapping[str, Any], takes_request: bool, problems: _Problems) -> Any:
    annotation = hints.get("request")
    if not takes_request:
        payload = NoData if declaration.json_schema is None else declaration.json_schema
    elif annotation is None:
        problems.add("the parameter `request` has no annotation: RequestModel[...] names the payload type")
        return NoData
    elif annotation is RequestModel:
        if declaration.json_schema is None:
            problems.add("`request: RequestModel` does not name the payload type: RequestModel[...], or json_schema=")
            return NoData
        payload = declaration.json_schema
    elif get_origin(annotation) is RequestModel:
        (payload,) = get_args(annotation)
        if declaration.json_schema is not None and declaration.json_schema != payload:
            problems.add(f"json_schema={declaration.json_schema!r} and RequestModel[{payload!r}] differ")
    else:
        problems.add(f"the parameter `request` is a RequestModel[...], not {annotation!r}")
        return NoData
    for fault in _undecodable(payload):
        problems.add(f"payload type: {fault}")
    return payload


def _undecodable(payload: Any) -> Iterator[str]:
    """Yield the reasons for which msgspec cannot decode an object to this type."""
    try:
        info = type_inspect.type_info(payload)
        for codec in CODECS:
            codec.decoder(payload)
    except (TypeError, NameError) as error:
        yield f"{payload!r} cannot be decoded: {error}"
        return
    if not isinstance(info, (*_OBJECTS, type_inspect.CustomType)):
        yield f"{payload!r} is not decoded from an object"
    yield from (f"{custom!r} cannot be decoded by msgspec" for custom in _custom_types(info))


def _not_a_reply(reply: Any) -> Iterator[str]:
    """Yield the reasons for which a value of this type is not a reply (``data`` must be an object or a list)."""
    origin = get_origin(reply)
    if origin in (Page, ResponseModel):
        (inner,) = get_args(reply)
        if origin is ResponseModel:
            yield from _not_a_reply(inner)
            return
        reply = list[inner]  # type: ignore[valid-type]
    elif reply in (Page, ResponseModel):
        yield f"{reply.__name__} does not name its type: {reply.__name__}[...]"
        return
    if reply in (None, type(None)):
        return
    try:
        info = type_inspect.type_info(reply)
    except (TypeError, NameError) as error:
        yield f"reply type {reply!r} cannot be encoded: {error}"
        return
    alternatives = info.types if isinstance(info, type_inspect.UnionType) else (info,)
    allowed = (*_OBJECTS, *_LISTS, type_inspect.NoneType)
    if not all(isinstance(alternative, allowed) for alternative in alternatives):
        yield f"reply type {reply!r} is neither an object nor a list"
    yield from (f"reply type: {custom!r} cannot be encoded by msgspec" for custom in _custom_types(info))


_OBJECTS = (
    type_inspect.StructType,
    type_inspect.TypedDictType,
    type_inspect.DataclassType,
    type_inspect.DictType,
)
_LISTS = (
    type_inspect.ListType,
    type_inspect.VarTupleType,
    type_inspect.TupleType,
    type_inspect.SetType,
    type_inspect.FrozenSetType,
)


def _custom_types(info: Any) -> list[Any]:
    """Return the classes inside a type that msgspec does not support."""
    found: list[Any] = []
    seen: set[int] = set()
    todo = [info]
    while todo:
        node = todo.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, type_inspect.CustomType):
            found.append(node.cls)
        for name in ("type", "item_type", "key_type", "value_type"):
            inner = getattr(node, name, None)
            if isinstance(inner, type_inspect.Type):
                todo.append(inner)
        for name in ("types", "item_types"):
            todo.extend(getattr(node, name, ()))
        todo.extend(member.type for member in getattr(node, "fields", ()))
    return found


def _check_lane(lane: str | None, payload: Any, problems: _Problems) -> None:
    if lane is None:
        return
    if not (isinstance(payload, type) and issubclass(payload, msgspec.Struct)):
        problems.add("lane= needs a struct as the payload type")
        return
    members = set(payload.__struct_fields__)
    problems_found = [name for name in re.findall(r"{(.*?)}", lane) if name not in members]
    if problems_found:
        problems.add(f"lane={lane!r} names no member of {payload.__name__}: {', '.join(problems_found)}")
