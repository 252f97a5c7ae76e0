"""Types that a field of a table may have: in the model, in what clients send and see, in the migration, in tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class ColumnKind:
    """One type, in each of its forms.

    Args:
        stored: Type in the model and in the view.
        column: Arguments of ``mapped_column``; none where the type alone says it.
        sent: Type of what a client sends; empty where it is the stored one.
        bounds: What ``sent`` is short for.
        migrated: Type in the migration.
        imports: Lines that the model needs, of ``stored`` and ``column``.
        sends: Lines that ``bounds`` needs.
        sample: Value on the wire, as an expression over ``number`` and, in braces, the field's words.
        seed: Value in Python, with the number and the words in braces.
        wrong: Values that are refused, as expressions.
        may_be_unique: Whether rows can be told apart by it.
        is_searched: Whether lists can be filtered by a part of it.
    """

    stored: str
    migrated: str
    sample: str
    seed: str
    wrong: tuple[str, ...]
    column: str = ""
    sent: str = ""
    bounds: str = ""
    imports: tuple[str, ...] = ()
    sends: tuple[str, ...] = ()
    may_be_unique: bool = True
    is_searched: bool = False


_DATES: Final = "import datetime as dt"
_META: Final = ("from typing import Annotated", "from msgspec import Meta")

COLUMNS: Final = {
    "line": ColumnKind(
        stored="str",
        column="String(200)",
        sent="ShortLine",
        bounds="Annotated[Line, Meta(min_length=1, max_length=200)]",
        migrated="sa.String(length=200)",
        imports=("from sqlalchemy import String",),
        sends=(*_META, "from starpost import Line"),
        sample='f"{words} {{number}}"',
        seed='"{words} {number}"',
        wrong=('""', '"a\\0"', '"a\\nb"', '"x" * 201', "5"),
        is_searched=True,
    ),
    "text": ColumnKind(
        stored="str",
        column="Text",
        sent="LongText",
        bounds='Annotated[str, Meta(min_length=1, max_length=10_000, pattern=r"^[^\\x00]*$")]',
        migrated="sa.Text()",
        imports=("from sqlalchemy import Text",),
        sends=_META,
        sample='f"{words} {{number}}.\\nIn two lines."',
        seed='"{words} {number}."',
        wrong=('""', '"a\\0"', '"x" * 10_001', "5"),
        may_be_unique=False,
    ),
    "int": ColumnKind(
        stored="int",
        sent="Integer",
        bounds="Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]",
        migrated="sa.Integer()",
        sends=_META,
        sample="number",
        seed="{number}",
        wrong=("2**31", "-(2**31) - 1", "1.5", '"1"'),
    ),
    "float": ColumnKind(
        stored="float",
        sent="Number",
        bounds="Annotated[float, Meta(ge=-1e300, le=1e300)]",
        migrated="sa.Float()",
        sends=_META,
        sample="number + 0.5",
        seed="{number}.5",
        wrong=("1e301", '"1.5"'),
        may_be_unique=False,
    ),
    "decimal": ColumnKind(
        stored="Decimal",
        column="Numeric(12, 2)",
        # As text: two places stay two places, whatever a client makes of numbers.
        sent="Amount",
        bounds='Annotated[str, Meta(pattern=r"^-?\\d{1,10}\\.\\d{2}$(?!\\n)", description="with two places: 12.50")]',
        migrated="sa.Numeric(precision=12, scale=2)",
        imports=("from decimal import Decimal", "from sqlalchemy import Numeric"),
        sends=_META,
        sample='f"{{number}}.50"',
        seed='Decimal("{number}.50")',
        wrong=('"1.234"', '"NaN"', '"1e3"', '"9" * 11 + ".00"', "1.5"),
    ),
    "bool": ColumnKind(
        stored="bool",
        migrated="sa.Boolean()",
        sample="number % 2 == 1",
        seed="{is_odd}",
        wrong=("1", '"true"'),
        may_be_unique=False,
    ),
    "date": ColumnKind(
        stored="dt.date",
        column="Date",
        migrated="sa.Date()",
        imports=(_DATES, "from sqlalchemy import Date"),
        sample='f"2030-01-{{number:02}}"',
        seed="dt.date(2030, 1, {number})",
        wrong=('"2030-02-30"', '"x"', "5"),
    ),
    "datetime": ColumnKind(
        stored="dt.datetime",
        column="DateTime(timezone=True)",
        sent="Moment",
        bounds="Annotated[dt.datetime, Meta(tz=True)]",
        migrated="sa.DateTime(timezone=True)",
        imports=(_DATES, "from sqlalchemy import DateTime"),
        sends=(*_META, _DATES),
        sample='f"2030-01-{{number:02}}T12:00:00Z"',
        seed="dt.datetime(2030, 1, {number}, 12, tzinfo=dt.UTC)",
        wrong=('"2030-01-01T12:00:00"', '"x"', "5"),
    ),
    "uuid": ColumnKind(
        stored="UUID",
        column="Uuid",
        migrated="sa.Uuid()",
        imports=("from uuid import UUID", "from sqlalchemy import Uuid"),
        sample='f"00000000-0000-4000-8000-{{number:012}}"',
        seed="UUID(int={number})",
        wrong=('"x"', "5"),
    ),
}
"""The words for types."""
