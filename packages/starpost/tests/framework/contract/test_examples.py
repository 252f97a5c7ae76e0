import datetime as dt
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
import pytest
from msgspec import UNSET, Meta, Struct, UnsetType

from starpost.contract.examples import example_of


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Inner(Struct):
    label: str
    note: str | None = None


class Outer(Struct):
    id: Annotated[int, Meta(ge=5)]
    inner: Inner
    several: Annotated[list[Inner], Meta(min_length=2)]
    skipped: int | UnsetType = UNSET


TYPES = [
    int,
    float,
    bool,
    str,
    None,
    dict[str, Any],
    list[int],
    tuple[int, str],
    UUID,
    dt.date,
    Annotated[dt.datetime, Meta(tz=True)],
    Colour,
    Literal["a", "b"],
    int | None,
    Annotated[int, Meta(ge=7, le=9)],
    Annotated[int, Meta(gt=7)],
    Annotated[int, Meta(le=-3)],
    Annotated[int, Meta(lt=-3)],
    Annotated[int, Meta(ge=5, multiple_of=4)],
    Annotated[str, Meta(min_length=40)],
    Annotated[str, Meta(max_length=3)],
    Annotated[str, Meta(pattern="^[0-9]{3}$", examples=["123"])],
    Inner,
    Outer,
]


@pytest.mark.parametrize("wanted", TYPES, ids=str)
def test_example_is_accepted_by_the_type_that_it_exemplifies(wanted: Any) -> None:
    (schema,), components = msgspec.json.schema_components([wanted], ref_template="#/components/schemas/{name}")
    encoded = msgspec.json.encode(example_of(schema, components))
    msgspec.json.decode(encoded, type=wanted)


def test_object_has_its_required_members_and_text_that_tells_which() -> None:
    (schema,), components = msgspec.json.schema_components([Outer], ref_template="#/components/schemas/{name}")
    one = {"label": "Example label"}
    assert example_of(schema, components) == {"id": 5, "inner": one, "several": [one, one]}
