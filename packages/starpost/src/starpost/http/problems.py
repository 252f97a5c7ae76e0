"""Problem documents (RFC 9457) for every HTTP error, with the codes, paths and words of packets.

``Refusals`` says what an exception means. Litestar's ``HTTPException`` (404, 405, 413, …) gets a code of the same form;
its 400 becomes ``invalid_data`` with all paths, and its 500 is a fault of the program like another.
"""

import math
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, MethodNotAllowedException, ValidationException
from litestar.openapi.datastructures import ResponseSpec
from litestar.types import ExceptionHandlersMap

from starpost.auth.challenge import www_authenticate
from starpost.errors import AppError, FieldError, InvalidDataError, UnauthenticatedError
from starpost.http.input import MISSING, parameter_errors
from starpost.observability.refusals import Refusals, Translator

MEDIA_TYPE: Final = "application/problem+json"

TYPE_PREFIX: Final = "/problems/"
"""Prefix of ``type``; the ``code`` follows. A stable name to compare, not a URL to fetch."""

_CODES: Final = {
    400: "invalid_data",
    401: "invalid_token",
    403: "permission_denied",
    404: "not_found",
    409: "conflict",
    413: "body_too_large",
    429: "rate_limited",
    503: "unavailable",
    504: "timeout",
}
"""Codes of statuses that Litestar raises. The others come from the status's name (``method_not_allowed``)."""

_CLOSING: Final = frozenset({408, 413})
"""Statuses that close the connection, which may still hold the rest of a body (RFC 9110, 15.5.9, 15.5.14)."""

_MISSING: Final = re.compile(r"Missing required (?:\w+) parameter '(?P<name>[^']+)' for path ")

log = structlog.get_logger(__name__)


class Problem(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Problem document. ``errors`` is present if fields are invalid, ``incident`` if the fault is the server's.

    Args:
        type: Reference that names the kind of problem: ``/problems/`` and the code.
        title: The kind in words, always the same.
        status: The HTTP status.
        detail: Description of this occurrence.
        code: The same code as in a packet.
        errors: All invalid fields of the request.
        incident: Id of the fault in the log.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: tuple[FieldError, ...] = ()
    incident: str | None = None


def problem_handlers(translators: Sequence[Translator] = ()) -> ExceptionHandlersMap:
    """Return the ``exception_handlers`` of the application.

    Args:
        translators: Called in order for an exception that is not an ``AppError``.
    """
    refusals = Refusals("request", log, translators)

    def answer(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
        if isinstance(error, ValidationException):
            return refusal(InvalidDataError.of(_field_errors(request, error)))
        if isinstance(error, HTTPException) and error.status_code != HTTPStatus.INTERNAL_SERVER_ERROR:
            return _of_litestar(error)
        return refusal(refusals.of(error))

    # Litestar prefers its own handler for HTTPException if only `Exception` is given.
    return {Exception: answer, HTTPException: answer}


def refusal(error: AppError) -> Response[Problem]:
    """Return the problem document of an error, with the headers of its status."""
    headers = {}
    if error.retry_after is not None:
        # The header has whole seconds (RFC 9110, 10.2.3). Rounded down, clients would come too early.
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    if isinstance(error, UnauthenticatedError):
        headers["WWW-Authenticate"] = www_authenticate(error)
    return _response(
        status=error.http_status,
        code=error.code,
        title=type(error).default_msg,
        detail=error.msg,
        errors=error.errors,
        incident=error.incident,
        headers=headers,
    )


def _of_litestar(error: HTTPException) -> Response[Problem]:
    status = error.status_code
    title = _phrase(status)
    headers = {name.title(): value for name, value in (error.headers or {}).items()}
    if isinstance(error, MethodNotAllowedException) and "Allow" in headers:
        headers["Allow"] = ", ".join(sorted(method.strip() for method in headers["Allow"].split(",")))
    if status == HTTPStatus.UNAUTHORIZED:
        headers.setdefault("Www-Authenticate", "Bearer")
    return _response(
        status=status,
        code=_CODES.get(status, re.sub(r"\W+", "_", title.lower())),
        title=title,
        detail=error.detail,
        headers=headers,
    )


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"Error {status}"


def _response(
    *,
    status: int,
    code: str,
    title: str,
    detail: str,
    errors: tuple[FieldError, ...] = (),
    incident: str | None = None,
    headers: Mapping[str, str],
) -> Response[Problem]:
    problem = Problem(
        type=TYPE_PREFIX + code,
        title=title,
        status=status,
        detail=detail,
        code=code,
        errors=errors,
        incident=incident,
    )
    if status in _CLOSING:
        headers = {"Connection": "close", **headers}
    # An error must not be cached, even if the route's answers may be.
    return Response(
        problem, status_code=status, media_type=MEDIA_TYPE, headers={"Cache-Control": "no-store", **headers}
    )


def _field_errors(request: Request[Any, Any, Any], error: ValidationException) -> tuple[FieldError, ...]:
    """Return all faults of parameters, and Litestar's of headers and cookies. ``JSONRequest`` validates bodies."""
    faults = {fault.path: fault for fault in parameter_errors(request)}
    for said in error.extra if isinstance(error.extra, list) else ():
        key = said.get("key")
        # Without a body Litestar does not decode, and the message is that of a KeyError.
        fault = FieldError("$", MISSING) if key == "data" else FieldError(f"$.{key}" if key else "$", said["message"])
        faults.setdefault(fault.path, fault)
    missing = _MISSING.match(error.detail)
    if missing is not None:
        path = f"$.{missing['name']}"
        faults.setdefault(path, FieldError(path, MISSING))
    return tuple(faults.values())


def problem_responses(*statuses: int) -> dict[int, ResponseSpec]:
    """Return the ``responses=`` of a route, for the OpenAPI document.

    Args:
        statuses: Statuses of errors that the route may answer with; 400 replaces Litestar's own schema.
    """
    return {
        status: ResponseSpec(
            data_container=Problem,
            generate_examples=False,
            description=_phrase(status),
            media_type=MEDIA_TYPE,
        )
        for status in statuses
    }
