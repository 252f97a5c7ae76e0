"""Every fault of an input is named, once, and nothing else is."""

import datetime as dt
import enum
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NewType, NotRequired, TypedDict, TypeVar
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET, Meta, Raw, Struct, UnsetType, ValidationError

from starpost.errors import FieldError, InvalidDataError
from starpost.protocol import CODECS, JSON, MSGPACK, Codec, all_errors, decode_or_explain
from starpost.protocol.validation import MAX_ERRORS, MAX_NAME, explain

codecs = pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
T = TypeVar("T")

Name = Annotated[str, Meta(min_length=1, max_length=5)]
Key = NewType("Key", int)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Circle(Struct, tag="circle", forbid_unknown_fields=True):
    radius: Annotated[float, Meta(gt=0)]
    colour: Colour = Colour.RED


class Square(Struct, tag="square"):
    side: int
    name: Name


class Address(Struct, rename="camel", forbid_unknown_fields=True):
    street_name: Name
    house_number: int


class Box(Struct, Generic[T]):
    content: T
    label: Name


class Range(Struct):
    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low is above high")


class Options(TypedDict):
    size: int
    note: NotRequired[Name]


@dataclass
class Point:
    x: int
    y: int = 0
    tags: list[Name] = field(default_factory=list)


class Everything(Struct):
    name: Name
    address: Address
    addresses: list[Address]
    by_name: dict[str, Address]
    by_number: dict[int, Name]
    shape: Circle | Square
    shapes: list[Circle | Square]
    box: Box[Address]
    range: Range
    options: Options
    point: Point
    one_or_more: int | list[int]
    pair: tuple[int, Name]
    row: tuple[int, ...]
    unique: set[int]
    sequence: Sequence[Name]
    mapping: Mapping[str, int]
    when: dt.datetime
    amount: Decimal
    id: UUID
    key: Key
    kind: Literal["a", "b"]
    maybe: Address | None
    short: Annotated[list[Name], Meta(max_length=3)]
    keyed: Annotated[dict[Name, int], Meta(max_length=3)]
    unset: int | UnsetType = UNSET
    anything: Any = None
    raw: Raw | UnsetType = UNSET


ADDRESS = {"streetName": "x", "houseNumber": 1}
GOOD: dict[str, Any] = {
    "name": "a",
    "address": ADDRESS,
    "addresses": [ADDRESS, ADDRESS, ADDRESS],
    "by_name": {"a": ADDRESS, "b": ADDRESS},
    "by_number": {"1": "x", "-2": "y"},
    "shape": {"type": "circle", "radius": 1.5},
    "shapes": [{"type": "circle", "radius": 1}, {"type": "square", "side": 1, "name": "x"}],
    "box": {"content": ADDRESS, "label": "x"},
    "range": {"low": 1, "high": 2},
    "options": {"size": 1, "note": "x"},
    "point": {"x": 1, "y": 2, "tags": ["x", "y"]},
    "one_or_more": [1, 2],
    "pair": [1, "x"],
    "row": [1, 2, 3],
    "unique": [1, 2],
    "sequence": ["x", "y"],
    "mapping": {"a": 1},
    "when": "2030-01-01T00:00:00Z",
    "amount": "1.50",
    "id": "550e8400-e29b-41d4-a716-446655440000",
    "key": 7,
    "kind": "a",
    "maybe": ADDRESS,
    "short": ["x"],
    "keyed": {"x": 1},
    "unset": 1,
    "anything": {"a": [1]},
    "raw": {"a": 1},
}


def set_to(*place: Any) -> Callable[[Any], None]:
    """Put the last of ``place`` where the others lead."""
    *steps, last, value = place

    def change(root: Any) -> None:
        for step in steps:
            root = root[step]
        root[last] = value

    return change


def without(*place: Any) -> Callable[[Any], None]:
    *steps, last = place

    def change(root: Any) -> None:
        for step in steps:
            root = root[step]
        del root[last]

    return change


# What is broken, and the place that must be named for it. Any of them may come together: none touches another's place.
BREAKAGES: dict[str, Callable[[Any], None]] = {
    "$.name": set_to("name", ""),
    "$.address.streetName": set_to("address", "streetName", "too long"),
    "$.address.houseNumber": without("address", "houseNumber"),
    "$.address.unknown": set_to("address", "unknown", 1),
    "$.addresses[0].streetName": set_to("addresses", 0, "streetName", None),
    "$.addresses[1]": set_to("addresses", 1, "no object"),
    "$.addresses[2].houseNumber": set_to("addresses", 2, "houseNumber", "1"),
    "$.by_name.a.houseNumber": set_to("by_name", "a", "houseNumber", 1.5),
    "$.by_name.b": set_to("by_name", "b", []),
    "$.by_number.1": set_to("by_number", "1", ""),
    "$.by_number.two": set_to("by_number", "two", "x"),
    "$.shape.radius": set_to("shape", "radius", 0),
    "$.shape.colour": set_to("shape", "colour", "green"),
    "$.shape.extra": set_to("shape", "extra", 1),
    "$.shapes[0].radius": without("shapes", 0, "radius"),
    "$.shapes[1].side": set_to("shapes", 1, "side", "x"),
    "$.shapes[1].name": set_to("shapes", 1, "name", ""),
    "$.box.content.streetName": set_to("box", "content", "streetName", 1),
    "$.box.label": set_to("box", "label", 1),
    "$.range": set_to("range", "low", 3),
    "$.options.size": without("options", "size"),
    "$.options.note": set_to("options", "note", ""),
    "$.point.x": without("point", "x"),
    "$.point.y": set_to("point", "y", None),
    "$.point.tags[1]": set_to("point", "tags", 1, ""),
    "$.one_or_more[1]": set_to("one_or_more", 1, "x"),
    "$.pair[0]": set_to("pair", 0, "x"),
    "$.pair[1]": set_to("pair", 1, "too long"),
    "$.row[2]": set_to("row", 2, "x"),
    "$.unique[0]": set_to("unique", 0, "x"),
    "$.sequence[1]": set_to("sequence", 1, ""),
    "$.mapping.a": set_to("mapping", "a", "x"),
    "$.when": set_to("when", "yesterday"),
    "$.amount": set_to("amount", "much"),
    "$.id": set_to("id", "x"),
    "$.key": set_to("key", "x"),
    "$.kind": set_to("kind", "c"),
    "$.maybe.streetName": set_to("maybe", "streetName", 7),
    "$.short": set_to("short", ["x"] * 4),
    "$.keyed.wrong key": set_to("keyed", "wrong key", 1),
    "$.unset": set_to("unset", None),
}


def encode(codec: Codec, value: dict[str, Any]) -> bytes:
    """Encode it with the keys that the codec's clients use: only JSON writes numbers as strings there."""
    if codec is MSGPACK:
        by_number = {int(key) if key.strip("-").isdigit() else key: item for key, item in value["by_number"].items()}
        value = value | {"by_number": by_number}
    encoded: bytes = codec.encode(value)
    return encoded


@codecs
@settings(max_examples=150)
@given(broken=st.sets(st.sampled_from(sorted(BREAKAGES)), min_size=1, max_size=8))
def test_every_broken_place_is_named_once_and_no_other(codec: Codec, broken: set[str]) -> None:
    value = json.loads(json.dumps(GOOD))
    for place in broken:
        BREAKAGES[place](value)
    encoded = encode(codec, value)
    with pytest.raises(InvalidDataError) as refused:
        decode_or_explain(codec.decoder(Everything), codec.parse, encoded, Everything)
    named = [error.path for error in refused.value.errors]
    assert sorted(named) == sorted(broken)


@codecs
def test_all_places_at_once(codec: Codec) -> None:
    value = json.loads(json.dumps(GOOD))
    for change in BREAKAGES.values():
        change(value)
    assert {error.path for error in all_errors(codec.parse(encode(codec, value)), Everything)} == set(BREAKAGES)


@codecs
def test_a_good_value_is_decoded_and_nothing_is_named(codec: Codec) -> None:
    assert isinstance(
        decode_or_explain(codec.decoder(Everything), codec.parse, encode(codec, GOOD), Everything), Everything
    )


TYPES = [
    int,
    str,
    bool,
    None,
    Name,
    list[int],
    dict[str, Name],
    dict[int, int],
    set[int],
    tuple[int, ...],
    tuple[int, str],
    int | None,
    int | list[int],
    Address,
    list[Address],
    dict[str, list[Address]],
    Address | None,
    Circle | Square,
    Box[int],
    Range,
    Options,
    Point,
    Colour,
    Annotated[list[Name], Meta(min_length=2)],
]
names = st.sampled_from(["streetName", "houseNumber", "type", "radius", "content", "label", "low", "size", "x", "1"])
json_like = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.text(max_size=7) | st.sampled_from(["circle", "square", "red"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names | st.text(max_size=2), inner, max_size=5),
    max_leaves=20,
)


@settings(max_examples=500)
@given(value=json_like, into=st.sampled_from(TYPES))
def test_faults_are_found_exactly_where_msgspec_finds_one(value: Any, into: Any) -> None:
    encoded = msgspec.json.encode(value)
    found = all_errors(msgspec.json.decode(encoded), into)
    try:
        msgspec.json.decode(encoded, type=into)
    except ValidationError:
        assert found
        assert len({error.path for error in found}) == len(found) or "as a key" in str(found)
    else:
        assert not found


@pytest.mark.parametrize(
    ("value", "into", "expected"),
    [
        ([1, 2], Annotated[list[Name], Meta(max_length=1)], {"$[0]", "$[1]", "$"}),
        ({"a": "x", "b": 1}, Annotated[dict[str, int], Meta(max_length=1)], {"$.a", "$"}),
        ({"type": "triangle"}, Circle | Square, {"$.type"}),
        ({"radius": 0}, Circle | Square, {"$"}),
        ({"type": "square", "radius": 0}, Circle, {"$.type", "$.radius"}),
        ("x", int | list[int], {"$"}),
        (["x", "y"], int | list[int], {"$[0]", "$[1]"}),
        ({"a": 1}, list[int], {"$"}),
        ([1], tuple[int, str], {"$"}),
        (None, Address, {"$"}),
    ],
)
def test_particular_places(value: Any, into: Any, expected: set[str]) -> None:
    found = all_errors(value, into)
    assert {error.path for error in found} == expected
    assert len(found) == len(expected)


def test_the_words_are_those_of_msgspec() -> None:
    assert all_errors({"streetName": "", "houseNumber": "1", "more": 1}, Address) == (
        FieldError("$.streetName", "Expected `str` of length >= 1"),
        FieldError("$.houseNumber", "Expected `int`, got `str`"),
        FieldError("$.more", "Unknown member"),
    )
    assert all_errors({}, Address, root="$.body") == (
        FieldError("$.body.streetName", "Required, and missing"),
        FieldError("$.body.houseNumber", "Required, and missing"),
    )


def test_own_checks_speak_for_themselves() -> None:
    assert all_errors({"range": {"low": 2, "high": 1}}, dict[str, Range]) == (
        FieldError("$.range", "low is above high"),
    )


def test_the_message_counts() -> None:
    with pytest.raises(InvalidDataError, match=r"^1 field is invalid$"):
        decode_or_explain(JSON.decoder(Range), JSON.parse, b'{"low": 1}', Range)
    with pytest.raises(InvalidDataError, match=r"^2 fields are invalid$"):
        decode_or_explain(JSON.decoder(Range), JSON.parse, b"{}", Range)


@pytest.mark.parametrize("into", [list[int], dict[str, int]])
def test_at_most_a_hundred(into: Any) -> None:
    value: Any = ["x"] * 5000
    assert len(all_errors(value if into == list[int] else {str(n): "x" for n in range(5000)}, into)) == MAX_ERRORS


@pytest.mark.parametrize("position", [0, 255, 256, 4999])
def test_one_fault_in_a_long_list(position: int) -> None:
    value: list[Any] = [1] * 5000
    value[position] = "x"
    assert [error.path for error in all_errors(value, list[int])] == [f"$[{position}]"]


def test_a_clients_own_names_are_cut() -> None:
    (unknown,) = all_errors({"streetName": "a", "houseNumber": 1, "x" * 10_000: 1}, Address)
    (wrong,) = all_errors({"x" * 10_000: "a"}, dict[str, int])
    assert len(unknown.path) == len(wrong.path) == len("$.") + MAX_NAME


@pytest.mark.parametrize("text", ["x - at `$.evil`", "x - at `$", "x - at `key` in `$.evil`", "`", "' - at `$.a`'"])
def test_a_clients_text_is_not_taken_for_a_path(text: str) -> None:
    assert [error.path for error in all_errors({"shape": {"type": text}}, dict[str, Circle | Square])] == [
        "$.shape.type"
    ]
    assert [error.path for error in all_errors([text], list[Colour])] == ["$[0]"]
    assert [error.path for error in all_errors({"a": {text: 1}}, dict[str, Circle])] == ["$.a.radius", f"$.a.{text}"]


def test_what_stays_undecoded_takes_everything() -> None:
    class Envelope(Struct):
        body: Raw
        number: int

    assert [error.path for error in all_errors({"a": {"body": {}, "number": 1}, "b": 2}, dict[str, Envelope])] == [
        "$.b"
    ]
    assert [error.path for error in all_errors({"body": [1], "number": "x"}, Envelope)] == ["$.number"]


@pytest.mark.parametrize("number", ["9" * 5000, "1e999"])
def test_a_number_that_nothing_holds_is_invalid_data(number: str) -> None:
    with pytest.raises(InvalidDataError) as refused:
        decode_or_explain(JSON.decoder(Range), JSON.parse, f'{{"low": {number}, "high": 1}}'.encode(), Range)
    assert [error.path for error in refused.value.errors] == ["$.low"]


def test_bytes_of_another_codec_are_not_explained() -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_or_explain(JSON.decoder(Range), JSON.parse, b"\x81\xa3low\x01", Range)


def test_explain_keeps_the_first_fault_where_the_walk_finds_none() -> None:
    error = ValidationError("Expected something else - at `$.a`")
    assert explain({"low": 1, "high": 2}, Range, error).errors == (FieldError("$.a", "Expected something else"),)
