"""Every error over HTTP is a problem document (RFC 9457), with the codes, paths and words of the packets.

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
"""``type`` is this with the ``code`` behind it: a stable name to compare with, not an address to fetch."""

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
"""The code of a status that Litestar raises; any other is made of the status's name (``method_not_allowed``)."""

_CLOSING: Final = frozenset({408, 413})
"""Statuses after which the rest of a body would have to be read before the next request (RFC 9110, 15.5.9, 15.5.14)."""

_MISSING: Final = re.compile(r"Missing required (?:\w+) parameter '(?P<name>[^']+)' for path ")

log = structlog.get_logger(__name__)


class Problem(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The document. ``errors`` is absent when no field is to blame, ``incident`` unless the server is.

    Args:
        type: A reference that names the kind of problem: ``/problems/`` and the code.
        title: The kind in words, the same each time.
        status: The HTTP status.
        detail: What was wrong this time.
        code: The same word as in a packet.
        errors: Every invalid place of the request.
        incident: Under this id the log knows more.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: tuple[FieldError, ...] = ()
    incident: str | None = None


def problem_handlers(translators: Sequence[Translator] = ()) -> ExceptionHandlersMap:
    """The ``exception_handlers`` of the application.

    Args:
        translators: Asked in order about an exception that is not ours.
    """
    refusals = Refusals("request", log, translators)

    def answer(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
        if isinstance(error, ValidationException):
            return refusal(InvalidDataError.of(_field_errors(request, error)))
        if isinstance(error, HTTPException) and error.status_code != HTTPStatus.INTERNAL_SERVER_ERROR:
            return _of_litestar(error)
        return refusal(refusals.of(error))

    # Litestar prefers a handler of its own for these two when only `Exception` is given.
    return {Exception: answer, HTTPException: answer}


def refusal(error: AppError) -> Response[Problem]:
    """The problem document of an error, with the headers that belong to its status."""
    headers = {}
    if error.retry_after is not None:
        # The header knows whole seconds only (RFC 9110, 10.2.3); rounded down it would invite too early.
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
    # An error is about this request at this moment, whatever the route says about keeping its answers.
    return Response(
        problem, status_code=status, media_type=MEDIA_TYPE, headers={"Cache-Control": "no-store", **headers}
    )


def _field_errors(request: Request[Any, Any, Any], error: ValidationException) -> tuple[FieldError, ...]:
    """All faults of the parameters, and what Litestar says of headers and cookies. ``JSONRequest`` judges bodies."""
    faults = {fault.path: fault for fault in parameter_errors(request)}
    for said in error.extra if isinstance(error.extra, list) else ():
        key = said.get("key")
        # Litestar does not ask for the body at all when there is none; the message is a KeyError's then.
        fault = FieldError("$", MISSING) if key == "data" else FieldError(f"$.{key}" if key else "$", said["message"])
        faults.setdefault(fault.path, fault)
    missing = _MISSING.match(error.detail)
    if missing is not None:
        path = f"$.{missing['name']}"
        faults.setdefault(path, FieldError(path, MISSING))
    return tuple(faults.values())


def problem_responses(*statuses: int) -> dict[int, ResponseSpec]:
    """The ``responses=`` of a route, for the OpenAPI document.

    Args:
        statuses: Which of the errors the route may answer with; 400 replaces Litestar's own schema of it.
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
