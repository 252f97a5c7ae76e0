"""Opaque cursors: the position at which a keyset page ended.

A cursor is a position, not a permission. It holds the ordering values of the last row, which the client has seen, and
is read as untrusted input.
"""

import binascii
import math
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Any

import msgspec

from starpost.errors import FieldError, InvalidDataError

_VERSION = 1


class _Position(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    version: int
    order: str
    values: list[Any]


_decode = msgspec.json.Decoder(_Position).decode


def encode(order: str, values: Sequence[Any]) -> str:
    """Return a cursor after the row with these ``values`` of the columns that ``order`` names.

    ``order`` also names the list: a position in one means nothing in another.
    """
    # JSON has no infinities and no NaN.
    packable = [str(value) if isinstance(value, float) and not math.isfinite(value) else value for value in values]
    packed = msgspec.json.encode(_Position(_VERSION, order, packable))
    return urlsafe_b64encode(packed).rstrip(b"=").decode("ascii")


def decode(cursor: str, order: str, types: Sequence[Any]) -> list[Any]:
    """Return the values of a cursor, converted to ``types``.

    Raises:
        InvalidDataError: ``encode`` has not made it for this ``order``. The error names ``$.cursor``.
    """
    try:
        packed = b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), b"-_", validate=True)
        position = _decode(packed)
        if position.version == _VERSION and position.order == order and len(position.values) == len(types):
            return [
                msgspec.convert(value, type_, strict=type_ is not float)
                for value, type_ in zip(position.values, types, strict=True)
            ]
    except (UnicodeEncodeError, binascii.Error, msgspec.DecodeError, RecursionError) as error:
        raise _invalid() from error
    raise _invalid()


def _invalid() -> InvalidDataError:
    return InvalidDataError.of([FieldError("$.cursor", "Not a cursor of this list; start again with an empty one")])
