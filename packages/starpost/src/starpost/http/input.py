"""Input of an HTTP request, validated like a packet's ``data``: every fault is named, in the same words.

Litestar decodes a body to dicts first, converts them leniently (``"5"`` for a number), and names only the first fault.
It stops at the first missing query parameter.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

import msgspec
from litestar import Request
from litestar.constants import RESERVED_KWARGS
from litestar.enums import ParamType
from litestar.exceptions import HTTPException
from litestar.params import ParameterKwarg
from litestar.typing import FieldDefinition

from starpost.errors import FieldError, InvalidDataError
from starpost.protocol.codecs import MALFORMED
from starpost.protocol.validation import decode_or_explain

MISSING: Final = "Required, and missing"

_UNSUPPORTED_MEDIA_TYPE: Final = 415


class JSONRequest(Request[Any, Any, Any]):
    """``request_class`` of the application, which decodes a body straight to the type of the route's ``data``."""

    __slots__ = ()

    async def json(self) -> Any:
        """Decode the body to the type of the route's ``data``, or as Litestar does if the route has none.

        Raises:
            InvalidDataError: The body is not JSON (path ``$``), or invalid; all faults are named.
            HTTPException: 415, ``Content-Type`` is not JSON.
        """
        field = self.route_handler.parsed_data_field
        if field is None:
            return await super().json()
        _check_media_type(self.headers.get("content-type"))
        body = await self.body()
        try:
            return decode_or_explain(_decoder(field.annotation), msgspec.json.decode, body, field.annotation)
        except InvalidDataError as error:
            raise self._refusal(*error.errors) from None
        except MALFORMED as error:
            reason = str(error) if isinstance(error, msgspec.DecodeError) else "not decodable"
            raise self._refusal(FieldError("$", f"The body is not JSON: {reason}")) from None

    def _refusal(self, *faults: FieldError) -> InvalidDataError:
        return InvalidDataError.of([*faults, *parameter_errors(self)])


def parameter_errors(request: Request[Any, Any, Any]) -> tuple[FieldError, ...]:
    """Return all faults of path and query parameters, of the route and of its dependencies.

    Called only after a failure. Litestar checks headers and cookies.
    """
    handler = request.route_handler
    # Two dependencies may use the same parameter.
    return tuple({fault.path: fault for fault in _walk(request, handler, handler.resolve_dependencies())}.values())


def _walk(request: Request[Any, Any, Any], owner: Any, dependencies: dict[str, Any]) -> Iterator[FieldError]:
    """Yield the faults of one signature: ``owner`` is a route handler or a ``Provide``."""
    for field in msgspec.structs.fields(owner.signature_model):
        name = field.name
        definition = owner.parsed_fn_signature.parameters[name]
        if name in dependencies:
            yield from _walk(request, dependencies[name], dependencies)
            continue
        alias = None if name in RESERVED_KWARGS else _alias(name, definition)
        if alias is None:
            continue
        found, value = _value(request, alias, definition)
        if found:
            yield from _fault(value, field.type, alias)
        elif field.required:
            yield FieldError(f"$.{alias}", MISSING)


def _alias(name: str, definition: FieldDefinition) -> str | None:
    """Return the client's name of a parameter; ``None`` for a header, a cookie or no parameter."""
    kwarg = definition.kwarg_definition
    if kwarg is None:
        return name
    if not isinstance(kwarg, ParameterKwarg) or kwarg.param_type in (ParamType.HEADER, ParamType.COOKIE):
        return None
    return kwarg.name or name


def _value(request: Request[Any, Any, Any], alias: str, definition: FieldDefinition) -> tuple[bool, Any]:
    if alias in request.path_params:
        return True, request.path_params[alias]
    values = request.query_params.getall(alias, [])
    if not values:
        return False, None
    return True, values if definition.is_non_string_sequence else values[-1]


def _fault(value: Any, into: Any, alias: str) -> Iterator[FieldError]:
    try:
        msgspec.convert(value, into, strict=False)
    except msgspec.ValidationError as error:
        yield FieldError(f"$.{alias}", str(error).partition(" - at `$")[0])


@lru_cache(maxsize=1024)
def _decoder(into: Any) -> "msgspec.json.Decoder[Any]":
    return msgspec.json.Decoder(into)


def _check_media_type(value: str | None) -> None:
    """Refuse other types: a foreign page can send a form or plain text without a preflight request, but not JSON."""
    kind = (value or "application/json").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise HTTPException(status_code=_UNSUPPORTED_MEDIA_TYPE, detail="The body must be application/json")
