"""Access log: one line for each HTTP request."""

import json
import logging
from datetime import UTC, datetime
from time import time
from typing import Any, Final
from urllib.parse import unquote_plus

import msgspec
import structlog
from litestar.types import HTTPScope
from msgspec import UNSET, Struct, UnsetType

from starpost.auth.redaction import redact_query
from starpost.header_fields import client_address
from starpost.observability.gathering import GatheringOutput
from starpost.observability.logs import makes_json
from starpost.observability.masking import MASK, mask_text

_QUIET: Final = ("/health/", "/metrics")
"""Probes and scrapes come every few seconds; their lines are for DEBUG."""

_NAME: Final = "access"
_LONGEST_QUERY: Final = 500
_ENCODINGS: Final = 3
"""Levels of percent-encoding that are searched for secrets: a URL in a parameter has parameters of its own."""


class _Request(Struct):
    """Answered request, of which a line is made later."""

    at: float
    """Seconds since the epoch."""
    method: str
    path: str
    status: int
    seconds: float
    user: str | None
    address: str | None
    query: bytes
    correlation_id: str


class _Line(Struct):
    """One line in JSON. A struct, because a dict takes a third more time."""

    timestamp: datetime
    method: str
    path: str
    status: int
    ms: float
    user: str | None
    address: str | None
    query: str | UnsetType
    correlation_id: str
    level: str = "info"
    event: str = "request"
    logger: str = _NAME

    @classmethod
    def of(cls, request: _Request) -> "_Line":
        """Make the line of a request. Its text is masked."""
        user, query = request.user, request.query
        return cls(
            datetime.fromtimestamp(request.at, UTC),
            mask_text(request.method[:16]),
            request.path,
            request.status,
            round(request.seconds * 1000, 2),
            None if user is None else mask_text(user),
            request.address,
            _masked(query.decode("latin-1"))[:_LONGEST_QUERY] if query else UNSET,
            mask_text(request.correlation_id),
        )

    def fields(self) -> dict[str, Any]:
        """Return the fields that the pipeline does not add itself."""
        values = ((name, getattr(self, name)) for name in _FIELDS)
        return {name: value for name, value in values if value is not UNSET}


_FIELDS: Final = ("method", "path", "status", "ms", "user", "address", "query")
_encoder: Final = msgspec.json.Encoder()


class AccessLog:
    """Writes the lines, several together.

    The processors of the pipeline inspect every field of a line to find text that a client sent, and the request that
    the line belongs to. Both are known here, so a line in JSON is made without the pipeline, for a third of the price.
    Lines for a terminal and lines at DEBUG go through the pipeline.

    Args:
        is_direct: Make lines in JSON without the pipeline.
    """

    def __init__(self, *, is_direct: bool = True) -> None:
        self._is_direct = is_direct
        self._output = GatheringOutput(_NAME, _json)
        # Bound here, because a lazy logger of structlog assembles itself again for each line.
        self._log = structlog.wrap_logger(self._output).bind()
        self._processors = structlog.get_config()["processors"]

    def write(self, scope: HTTPScope, path: str, status: int, seconds: float, correlation_id: str) -> None:
        """Add the line of a request.

        Args:
            scope: The request's. Its headers and path parameters are not written, its query without credentials.
            path: The template of its route.
            status: Status of the answer.
            seconds: Duration.
            correlation_id: Id of the request.
        """
        user = scope.get("user")
        request = _Request(
            time(),
            scope["method"],
            path,
            status,
            seconds,
            None if user is None else user.username,
            client_address(scope),
            scope["query_string"],
            correlation_id,
        )
        if path.startswith(_QUIET):
            self._log.debug("request", **_Line.of(request).fields())
        elif not (self._is_direct and makes_json(self._processors)):
            self._log.info("request", **_Line.of(request).fields())
        elif self._log.is_enabled_for(logging.INFO):
            self._output.add(request)

    def broken(self, status: int) -> None:
        """Log the current exception: the answer had begun, or could not be made."""
        self._log.exception("request_broken", status=status)

    def flush(self) -> None:
        """Write the lines that wait."""
        self._output.flush()


def _json(request: _Request) -> str:
    line = _Line.of(request)
    try:
        return _encoder.encode(line).decode()
    except UnicodeEncodeError:
        # Lone surrogates, which `json` escapes.
        return json.dumps(msgspec.to_builtins(line))


def _masked(query: str) -> str:
    """Return the query without credentials. Mask before cutting: half of a token that was cut would not be found."""
    masked = decoded = mask_text(redact_query(query))
    for _ in range(_ENCODINGS):
        if "%" not in decoded:
            break
        decoded = unquote_plus(decoded)
        if mask_text(redact_query(decoded)) != decoded:
            # Finding the secret's place in the encoded text is not worth the code: the whole query is masked.
            return MASK
    return masked
