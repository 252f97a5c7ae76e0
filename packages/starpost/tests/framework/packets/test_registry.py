"""Every wrong declaration is a fault with file and line, and all of them are told at once."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, TypedDict

import pytest
from litestar.di import Provide
from msgspec import Struct

from starpost.auth.principal import Principal
from starpost.packets import Caller, DeclarationError, PackageRouter, RequestModel
from starpost.packets.request import NoData
from starpost.protocol import JSON, MSGPACK, Page, ResponseModel
from tests.framework.packets.caller import ID, numbers_of, registry_of, routes_of

HERE = Path(__file__).relative_to(Path.cwd())


class Data(Struct):
    name: str


class Custom:
    """Something that msgspec knows nothing of."""


class WithCustom(Struct):
    inner: list[dict[str, Custom | None]]


class Typed(TypedDict):
    name: str


@dataclass
class Plain:
    name: str


class Tree(Struct):
    children: list["Tree"]


async def good(request: RequestModel[Data]) -> Data:
    """Repeat.

    And more.
    """
    return request.data


async def without_return(request: RequestModel[Data]):  # type: ignore[no-untyped-def]
    return None


async def without_request_annotation(request) -> Data:  # type: ignore[no-untyped-def]
    return Data("")


async def without_payload(request: RequestModel) -> Data:  # type: ignore[type-arg]
    return Data("")


async def wrong_request(request: Data) -> Data:
    return request


async def undecodable(request: RequestModel[Callable[[], None]]) -> Data:
    return Data("")


async def undecidable(request: RequestModel[Data | WithCustom]) -> Data:
    return Data("")


async def custom_inside(request: RequestModel[WithCustom]) -> Data:
    return Data("")


async def from_a_list(request: RequestModel[list[int]]) -> Data:
    return Data("")


def sync(request: RequestModel[Data]) -> Data:
    return request.data


async def star(request: RequestModel[Data], *args: int) -> Data:
    return request.data


async def star_star(request: RequestModel[Data], **rest: int) -> Data:
    return request.data


async def positional(request: RequestModel[Data], /) -> Data:
    return request.data


async def unresolvable(request: RequestModel["Nowhere"]) -> Data:  # type: ignore[name-defined]  # noqa: F821
    return Data("")


async def number_reply() -> int:
    return 1


async def text_or_data_reply() -> str | Data:
    return ""


async def custom_reply() -> list[WithCustom]:
    return []


async def untyped_page() -> Page:  # type: ignore[type-arg]
    raise NotImplementedError


async def untyped_response() -> ResponseModel:  # type: ignore[type-arg]
    raise NotImplementedError


async def wrong_response() -> ResponseModel[int]:
    raise NotImplementedError


async def unprovided(nobody: int) -> Data:
    return Data("")


WRONG: list[tuple[Any, str]] = [
    (without_return, "the return annotation is missing"),
    (without_request_annotation, "the parameter `request` has no annotation"),
    (without_payload, "`request: RequestModel` does not name the payload type"),
    (wrong_request, "the parameter `request` is a RequestModel"),
    (undecodable, "payload type: .*Callable.* cannot be decoded by msgspec"),
    (undecidable, "payload type: .* cannot be decoded: If a type union contains multiple Struct types"),
    (custom_inside, r"payload type: .*Custom.* cannot be decoded by msgspec"),
    (from_a_list, r"payload type: list\[int\] is not decoded from an object"),
    (sync, "a handler is an `async def` function"),
    (star, "named parameters only"),
    (star_star, "named parameters only"),
    (positional, "named parameters only"),
    (unresolvable, "an annotation cannot be resolved: name 'Nowhere' is not defined"),
    (number_reply, "reply type <class 'int'> is neither an object nor a list"),
    (text_or_data_reply, "is neither an object nor a list"),
    (custom_reply, r"reply type: .*Custom.* cannot be encoded by msgspec"),
    (untyped_page, "Page does not name its type"),
    (untyped_response, "ResponseModel does not name its type"),
    (wrong_response, "is neither an object nor a list"),
    (unprovided, "nothing provides the parameter 'nobody'; there are: connection, principal, request"),
]


class Enough(IntEnum):
    """A number for each of the wrong ones."""

    P1, P2, P3, P4, P5, P6, P7, P8, P9, P10, P11, P12, P13, P14, P15, P16, P17, P18, P19, P20 = range(1, 21)


def line_of(function: Any) -> str:
    return f"{HERE}:{inspect.getsourcelines(function)[1]}"


@pytest.mark.parametrize(("handler", "fault"), WRONG, ids=lambda value: getattr(value, "__name__", ""))
def test_wrong_declaration(handler: Any, fault: str) -> None:
    router = PackageRouter()
    router.register(1)(handler)
    registry, faults = registry_of(router, numbers=numbers_of(ONE=1))
    assert len(faults) == 1
    assert re.fullmatch(rf"{line_of(handler)}: {handler.__name__}: .*{fault}.*", faults[0])
    assert 1 not in registry


def test_all_faults_at_once() -> None:
    router = PackageRouter()
    for number, (handler, _) in zip(Enough, WRONG, strict=True):
        router.register(number)(handler)
    _, faults = registry_of(router, numbers=Enough)
    assert len(faults) == len(WRONG)
    error = DeclarationError(faults)
    assert error.faults == tuple(faults)
    for (handler, _), line in zip(WRONG, str(error).splitlines()[1:], strict=True):
        assert line_of(handler) in line


def test_several_faults_of_one_handler() -> None:
    router = PackageRouter()

    def everything(request, nobody, *rest): ...  # type: ignore[no-untyped-def]

    router.register(77, lane="{x}")(everything)
    _, faults = registry_of(router, numbers=numbers_of())
    told = "\n".join(faults)
    for fault in ["async def", "named parameters", "no annotation", "return annotation", "nobody", "no name", "lane"]:
        assert fault in told


def test_duplicate_id() -> None:
    router = PackageRouter()
    router.register(ID.ONE, ID.TWO)(good)
    router.register(ID.THREE, ID.TWO)(number_reply)
    _, faults = registry_of(router)
    assert f"{line_of(number_reply)}: number_reply: pkg_id 2 is already handled at {line_of(good)}" in faults


def test_duplicate_id_of_a_declaration_that_is_wrong_itself() -> None:
    router = PackageRouter()
    router.register(ID.ONE)(number_reply)
    router.register(ID.ONE, ID.TWO, ID.THREE)(good)
    _, faults = registry_of(router)
    assert any("already handled" in fault for fault in faults)


def test_one_id_twice_in_one_declaration() -> None:
    router = PackageRouter()
    router.register(ID.ONE, ID.ONE, ID.TWO, ID.THREE)(good)
    assert any("already handled" in fault for fault in registry_of(router)[1])


def test_no_id() -> None:
    router = PackageRouter()
    router.register()(good)
    assert any("at least one pkg_id" in fault for fault in registry_of(router)[1])


def test_id_without_a_name() -> None:
    router = PackageRouter()
    router.register(ID.ONE, ID.TWO, ID.THREE, 4)(good)
    registry, faults = registry_of(router)
    assert faults == [f"{line_of(good)}: good: pkg_id 4 has no name in PkgID"]
    assert 1 not in registry, "a wrong declaration is not registered in part"


def test_number_without_a_handler_is_named_with_its_line() -> None:
    router = PackageRouter()
    router.register(ID.ONE, ID.THREE)(good)
    _, faults = registry_of(router)
    (fault,) = faults
    place, _, text = fault.partition(": ")
    file, _, line = place.rpartition(":")
    assert "TWO = 2" in Path(file).read_text().splitlines()[int(line) - 1]
    assert text == "TWO = 2: no handler, and no topic pushes it"


def test_number_that_is_only_pushed_needs_no_handler_and_takes_none() -> None:
    router = PackageRouter()
    router.register(ID.ONE, ID.TWO, ID.THREE, -6)(good)
    assert [fault.partition("good: ")[2] for fault in registry_of(router)[1]] == [
        "pkg_id -6 is what the server pushes, and takes no handler"
    ]


@pytest.mark.parametrize("number", [0, -1, -77, 2**31])
def test_a_domain_cannot_give_a_number_that_no_rule_guards_or_nobody_can_send(number: int) -> None:
    router = PackageRouter()
    router.register(number)(good)
    faults = registry_of(router, numbers=numbers_of(ODD=number))[1]
    assert any(f"ODD = {number}: " in fault for fault in faults)


def test_a_number_with_two_names() -> None:
    class Twice(IntEnum):
        FIRST = 1
        SECOND = 1

    router = PackageRouter()
    router.register(1)(good)
    (fault,) = registry_of(router, numbers=Twice)[1]
    assert fault.endswith("SECOND = 1: the number of FIRST")
    assert fault.startswith(f"{HERE}:{inspect.getsourcelines(Twice)[1] + 2}: ")


def test_payload_reply_and_documents_come_from_the_handler() -> None:
    router = PackageRouter()
    router.register(ID.ONE, summary="Say it again", deprecated=True)(good)
    router.register(ID.TWO)(good)
    routes = routes_of(router)
    first, second = routes[1].declaration, routes[2].declaration
    assert (routes[1].payload, routes[1].reply, routes[1].name) == (Data, Data, "P1")
    assert (first.summary, first.is_deprecated) == ("Say it again", True)
    assert (second.summary, second.is_deprecated) == ("Repeat.", False)
    assert second.description == "Repeat.\n\nAnd more."
    assert first.location == line_of(good)
    assert not routes[1].is_system
    assert routes[-1].is_system


def test_several_ids_share_a_handler() -> None:
    router = PackageRouter()
    router.register(ID.ONE, ID.TWO, ID.THREE)(good)
    routes = routes_of(router)
    assert [number for number in routes if number > 0] == [1, 2, 3]
    assert routes[1].declaration is routes[3].declaration


def test_the_registry_is_in_the_order_of_the_numbers() -> None:
    router = PackageRouter()
    router.register(ID.THREE)(good)
    router.register(ID.ONE)(good)
    numbers = list(routes_of(router))
    assert numbers == sorted(numbers)
    assert len(routes_of(router)) == len(numbers)


@pytest.mark.parametrize("payload", [Data, Plain, Typed, dict[str, int], Tree])
def test_json_schema_names_the_payload(payload: Any) -> None:
    router = PackageRouter()
    router.register(ID.ONE, json_schema=payload)(without_payload)
    router.register(ID.TWO, json_schema=payload)(number_free)
    routes = routes_of(router)
    assert routes[1].payload == routes[2].payload == payload
    assert set(routes[1].decoders) == {"json", "msgpack"}


async def number_free() -> Data:
    return Data("")


def test_json_schema_that_says_the_same() -> None:
    router = PackageRouter()
    router.register(ID.ONE, json_schema=Data)(good)
    assert routes_of(router)[1].payload is Data


def test_json_schema_that_says_something_else() -> None:
    router = PackageRouter()
    router.register(ID.ONE, json_schema=Plain)(good)
    (fault,) = registry_of(router, numbers=numbers_of(ONE=1))[1]
    assert "differ" in fault


def test_undecodable_json_schema() -> None:
    router = PackageRouter()
    router.register(ID.ONE, json_schema=WithCustom)(number_free)
    (fault,) = registry_of(router, numbers=numbers_of(ONE=1))[1]
    assert "Custom" in fault


def test_without_a_request_there_is_no_data() -> None:
    router = PackageRouter()
    router.register(ID.ONE)(number_free)
    assert routes_of(router)[1].payload is NoData


async def list_reply() -> list[Data]:
    return []


async def tuple_reply() -> tuple[Data, ...]:
    return ()


async def page_reply() -> Page[Data]:
    raise NotImplementedError


async def response_reply() -> ResponseModel[list[Data]]:
    raise NotImplementedError


async def dict_reply() -> dict[str, Any]:
    return {}


async def none_reply() -> None:
    return None


async def either_reply() -> Data | list[Data] | None:
    return None


async def recursive_reply() -> Tree:
    return Tree([])


@pytest.mark.parametrize(
    "handler",
    [list_reply, tuple_reply, page_reply, response_reply, dict_reply, none_reply, either_reply, recursive_reply],
    ids=lambda handler: handler.__name__,
)
def test_right_replies(handler: Any) -> None:
    router = PackageRouter()
    router.register(ID.ONE)(handler)
    assert routes_of(router)[1].payload is NoData


def test_given_parameters_in_any_order() -> None:
    async def handler(connection: Caller, request: RequestModel[Data], principal: Principal) -> Data:
        return request.data

    router = PackageRouter()
    router.register(ID.ONE)(handler)
    route = routes_of(router)[1]
    assert route.payload is Data
    assert not route.takes_request_alone


@pytest.mark.parametrize(
    ("lane", "payload", "fault"),
    [
        ("author:{name}", Data, None),
        ("all", Data, None),
        ("author:{id}", Data, "names no member of Data: id"),
        ("author:{name}", dict[str, str], "needs a struct"),
    ],
)
def test_lane(lane: str, payload: Any, fault: str | None) -> None:
    router = PackageRouter()
    router.register(ID.ONE, json_schema=payload, lane=lane)(without_payload)
    faults = registry_of(router, numbers=numbers_of(ONE=1))[1]
    assert [fault is not None and fault in told for told in faults] == ([True] if fault else [])


def test_circular_dependency() -> None:
    def a(b: int) -> int:
        return b

    def b(c: int) -> int:
        return c

    def c(a: int) -> int:
        return a

    async def handler(a: int) -> None:
        return None

    router = PackageRouter()
    router.register(ID.ONE)(handler)
    providers = {name: Provide(call, sync_to_thread=False) for name, call in [("a", a), ("b", b), ("c", c)]}
    (fault,) = registry_of(router, providers, numbers_of(ONE=1))[1]
    assert fault.endswith("dependencies need each other in a circle: a → b → c → a")
    assert fault.startswith(f"{HERE}:")


def test_unknown_dependency_of_a_dependency() -> None:
    def a(nobody: int) -> int:
        return nobody

    async def handler(a: int) -> None:
        return None

    router = PackageRouter()
    router.register(ID.ONE)(handler)
    (fault,) = registry_of(router, {"a": Provide(a, sync_to_thread=False)}, numbers_of(ONE=1))[1]
    assert "nothing provides the parameter 'nobody' (wanted by 'a')" in fault


def test_two_registries_do_not_disturb_each_other() -> None:
    first, second = PackageRouter(), PackageRouter()
    first.register(ID.ONE)(good)
    second.register(ID.ONE)(list_reply)
    ones, twos = routes_of(first), routes_of(second)
    assert ones[1].reply is Data
    assert twos[1].reply == list[Data]
    assert routes_of(first)[1].reply is Data, "a router can be frozen again"
    assert ones[-1].declaration is twos[-1].declaration


def test_registering_leaves_the_function_as_it_was() -> None:
    assert PackageRouter().register(ID.ONE)(good) is good


def test_decoders_take_null_as_well() -> None:
    router = PackageRouter()
    router.register(ID.ONE)(good)
    decoders = routes_of(router)[1].decoders
    assert decoders["json"].decode(JSON.encode({"name": "a"})) == Data("a")
    assert decoders["msgpack"].decode(MSGPACK.encode(None)) is None
