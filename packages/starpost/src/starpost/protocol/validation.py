"""Validation that names every fault of an input, not only the first.

msgspec stops at the first fault. So data is decoded by msgspec, and only after a failure walked field by field, here.
Packets and HTTP both use this, so that they name the same paths in the same words.
"""

import dataclasses
import re
import types
from collections.abc import Iterable, Iterator, Mapping, MutableSequence, Sequence
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import (
    Annotated,
    Any,
    Final,
    NewType,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

import msgspec
from msgspec import Meta, ValidationError
from msgspec.structs import fields

from starpost.errors import FieldError, InvalidDataError

MAX_ERRORS: Final = 100
"""Most errors in a list: an answer must not be many times larger than its request."""

MAX_NAME: Final = 100
"""Characters of a name chosen by the client that a path repeats."""

_ARRAYS: Final = frozenset({list, set, frozenset, tuple, Sequence, MutableSequence, AbstractSet})
_MAPS: Final = frozenset({dict, Mapping})
_PLACE: Final = re.compile(r" - at (?P<key>`key` in )?`\$(?P<path>[^`]*)`\Z")
"""Path at the end of msgspec's message, which is absent for the root."""
_CHUNK: Final = 256


def decode_or_explain(decoder: Any, parse: Any, data: Any, into: Any) -> Any:
    """Decode; on failure, raise an error that names every fault.

    Args:
        decoder: A msgspec decoder for ``into``.
        parse: Decodes without a type; called on failure only.
        data: The encoded value.
        into: The type.

    Raises:
        InvalidDataError: The value does not fit the type; ``errors`` has all faults, ``MAX_ERRORS`` at most.
        DecodeError: The bytes are not valid in this codec.
    """
    try:
        return decoder.decode(data)
    except ValidationError as error:
        try:
            value = parse(data)
        except ValidationError:
            # A number that Python cannot hold. The rest of the data cannot be inspected.
            raise InvalidDataError.of([_field_error(error, "$")]) from None
        raise explain(value, into, error) from None


def explain(value: Any, into: Any, error: ValidationError, *, root: str = "$") -> InvalidDataError:
    """Return the refusal of ``value``, whose first fault is ``error``."""
    return InvalidDataError.of(all_errors(value, into, root=root) or (_field_error(error, root),))


def all_errors(value: Any, into: Any, *, root: str = "$") -> tuple[FieldError, ...]:
    """Return the faults of ``value`` as an ``into``, ``MAX_ERRORS`` at most; empty if there are none.

    Args:
        value: The decoded input: dicts, lists, strings, numbers.
        into: Any type that msgspec converts to.
        root: The path of ``value`` itself.
    """
    return tuple(islice(_walk(value, into, root), MAX_ERRORS))


def _walk(value: Any, into: Any, path: str) -> Iterator[FieldError]:
    """Yield the faults of the parts, or of the value itself if its parts are valid.

    Parts that msgspec accepts are not walked, so a large input with one fault costs little more than its decoding.
    """
    try:
        # `str_keys`: all keys of JSON are strings. It changes nothing where keys are numbers already.
        msgspec.convert(value, into, str_keys=True)
    except ValidationError as error:
        any_in_parts = False
        for fault in _walk_parts(value, into, path):
            any_in_parts = True
            yield fault
        # A field of type `Raw` accepts every value; only the decoded copy that is walked here does not fit it.
        if not any_in_parts and not str(error).startswith("Expected `raw`"):
            yield _field_error(error, path)


def _walk_parts(value: Any, into: Any, path: str) -> Iterator[FieldError]:
    bare, constraints = _unwrap(into)
    origin = get_origin(bare) or bare
    args = get_args(bare)
    if origin in (Union, types.UnionType):
        meant = _meant(value, args)
        if meant is not None:
            yield from _walk_parts(value, meant, path)
    elif isinstance(value, Mapping):
        if _has_members(origin):
            yield from _walk_members(value, bare, path)
        elif origin in _MAPS and args:
            yield from _walk_map(value, args[0], args[1], path)
            yield from _walk_itself(value, dict, constraints, path)
    elif isinstance(value, list) and origin in _ARRAYS and args:
        if origin is not tuple or args[1:] == (...,):
            yield from _walk_list(value, args[0], path)
            yield from _walk_itself(value, list, constraints, path)
        elif len(value) == len(args):
            for index, (part, item) in enumerate(zip(value, args, strict=True)):
                yield from _walk(part, item, f"{path}[{index}]")


def _walk_list(value: list[Any], item: Any, path: str) -> Iterator[FieldError]:
    for start in range(0, len(value), _CHUNK):
        chunk = value[start : start + _CHUNK]
        try:
            msgspec.convert(chunk, list[item], str_keys=True)
        except ValidationError:
            for index, part in enumerate(chunk, start):
                yield from _walk(part, item, f"{path}[{index}]")


def _walk_map(value: Mapping[Any, Any], key: Any, item: Any, path: str) -> Iterator[FieldError]:
    for name, part in value.items():
        place = f"{path}.{str(name)[:MAX_NAME]}"
        try:
            msgspec.convert({name: None}, dict[key, None], str_keys=True)
        except ValidationError as error:
            yield FieldError(place, f"{_PLACE.sub('', str(error))}, as a key")
        yield from _walk(part, item, place)


def _walk_itself(value: Any, kind: Any, constraints: tuple[Any, ...], path: str) -> Iterator[FieldError]:
    """Yield the faults of a list or a map itself: its length."""
    for constraint in constraints:
        try:
            msgspec.convert(value, Annotated[kind, constraint])
        except ValidationError as error:
            yield _field_error(error, path)


def _walk_members(value: Mapping[Any, Any], into: Any, path: str) -> Iterator[FieldError]:
    known = set()
    for name, wanted, is_required in _members(into):
        known.add(name)
        if name in value:
            yield from _walk(value[name], wanted, f"{path}.{name}")
        elif is_required:
            yield FieldError(f"{path}.{name}", "Required, and missing")
    config = getattr(get_origin(into) or into, "__struct_config__", None)
    if config is None:
        return
    if config.tag is not None:
        known.add(config.tag_field)
        if value.get(config.tag_field, config.tag) != config.tag:
            yield FieldError(f"{path}.{config.tag_field}", f"Expected `{config.tag}`")
    if config.forbid_unknown_fields:
        for name in value:
            if name not in known:
                yield FieldError(f"{path}.{str(name)[:MAX_NAME]}", "Unknown member")


def _members(into: Any) -> Iterable[tuple[str, Any, bool]]:
    """Return name on the wire, type, and whether it is required, for each member of an object's type."""
    origin = get_origin(into) or into
    if _is_struct(origin):
        return [(field.encode_name, field.type, field.required) for field in fields(into)]
    hints = get_type_hints(origin, include_extras=True)
    if is_typeddict(origin):
        return [(name, _of_key(hint), name in origin.__required_keys__) for name, hint in hints.items()]
    return [
        (field.name, hints[field.name], dataclasses.MISSING is field.default is field.default_factory)
        for field in dataclasses.fields(origin)
    ]


def _of_key(hint: Any) -> Any:
    """Return the type of a ``TypedDict``'s key, without ``Required`` or ``NotRequired``."""
    return get_args(hint)[0] if get_origin(hint) in (Required, NotRequired) else hint


def _meant(value: Any, alternatives: Sequence[Any]) -> Any:
    """Return the only alternative of a union that the value could be; ``None`` if there are several, or none."""
    candidates = []
    for alternative in alternatives:
        bare, _ = _unwrap(alternative)
        origin = get_origin(bare) or bare
        if isinstance(value, Mapping):
            config = getattr(origin, "__struct_config__", None)
            is_possible = origin in _MAPS or (
                _has_members(origin)
                and (config is None or config.tag is None or value.get(config.tag_field) == config.tag)
            )
        else:
            is_possible = isinstance(value, list) and origin in _ARRAYS
        if is_possible:
            candidates.append(alternative)
    return candidates[0] if len(candidates) == 1 else None


def _field_error(error: ValidationError, path: str) -> FieldError:
    """Return msgspec's message, with its path (`` - at `$.a` ``) moved to the end of ours."""
    text = str(error)
    place = _PLACE.search(text)
    if place is None:
        return FieldError(path, text)
    return FieldError(path + place["path"], text[: place.start()] + (", as a key" if place["key"] else ""))


def _unwrap(into: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return the type without ``Annotated``, ``NewType`` and aliases, and the constraints that they carried."""
    constraints: tuple[Any, ...] = ()
    while True:
        if get_origin(into) is Annotated:
            into, *notes = get_args(into)
            constraints += tuple(note for note in notes if isinstance(note, Meta))
        elif isinstance(into, NewType):
            into = into.__supertype__
        elif type(into).__name__ == "TypeAliasType":  # `type X = …`, from Python 3.12 on
            into = into.__value__
        else:
            return into, constraints


def _has_members(into: Any) -> bool:
    return _is_struct(into) or is_typeddict(into) or (isinstance(into, type) and dataclasses.is_dataclass(into))


def _is_struct(into: Any) -> bool:
    return isinstance(into, type) and issubclass(into, msgspec.Struct)
