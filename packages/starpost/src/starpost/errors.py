"""Errors for clients: one exception tree for packets and for HTTP.

    AppError                      code                 RSPCode            HTTP  retryable
    ├── InternalError             internal             ERROR              500   no
    ├── UnknownPacketError        unknown_packet       ERROR              404   no
    ├── InvalidDataError          invalid_data         INVALID_DATA       400   no
    │   ├── BadFrameError         bad_frame            INVALID_DATA       400   no
    │   ├── BadEnvelopeError      bad_envelope         INVALID_DATA       400   no
    │   └── BatchTooLargeError    batch_too_large      INVALID_DATA       413   no
    ├── PermissionDeniedError     permission_denied    PERMISSION_DENIED  403   no
    ├── NotFoundError             not_found            NOT_FOUND          404   no
    ├── ConflictError             conflict             CONFLICT           409   no
    │   └── DuplicateRequestError duplicate_request    CONFLICT           409   no
    ├── RateLimitedError          rate_limited         RATE_LIMITED       429   yes
    ├── UnavailableError          unavailable          UNAVAILABLE        503   yes
    ├── TimeoutExceededError      timeout              TIMEOUT            504   yes
    └── UnauthenticatedError      invalid_token        UNAUTHENTICATED    401   no
        ├── TokenExpiredError     token_expired        UNAUTHENTICATED    401   no
        └── DifferentUserError    different_user       UNAUTHENTICATED    401   no

A handler, a service or a route raises one of these; the dispatcher turns it into a reply, the HTTP layer into a problem
document (RFC 9457):

    >>> from starpost.errors import NotFoundError
    >>> error = NotFoundError("There is no such author")
    >>> error.code, error.http_status, error.body().retryable
    ('not_found', 404, False)

Any other exception is a fault of the program: the client gets ``internal`` with an incident id, the log the trace.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import ClassVar

import msgspec


class StartError(Exception):
    """The application cannot start. The log shows the message, which says why, without a trace."""


class RSPCode(IntEnum):
    """Values of a reply's ``status_code``."""

    OK = 0
    ERROR = 1
    INVALID_DATA = 2
    PERMISSION_DENIED = 3
    NOT_FOUND = 4
    CONFLICT = 5
    RATE_LIMITED = 6
    UNAVAILABLE = 7
    TIMEOUT = 8
    UNAUTHENTICATED = 9


class FieldError(msgspec.Struct, frozen=True):
    """Fault of an input: ``path`` is a JSON path (``$.name``), ``msg`` says what is wrong there."""

    path: str
    msg: str


class ErrorBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """Value of ``data`` in a refusal. Members after the first three are present only where they apply."""

    code: str
    msg: str
    # No default on purpose: `omit_defaults` would drop a false one, and clients may rely on the member.
    retryable: bool
    errors: tuple[FieldError, ...] = ()
    retry_after: float | None = None
    incident: str | None = None


class AppError(Exception):
    """Refusal that the client may see.

    Args:
        msg: One sentence for the client. It must contain no secret.
        errors: All faults of the input.
        retry_after: Seconds after which a retry makes sense.
        incident: Id of the fault in the log.
    """

    code: ClassVar[str] = "internal"
    status_code: ClassVar[RSPCode] = RSPCode.ERROR
    http_status: ClassVar[int] = 500
    is_retryable: ClassVar[bool] = False
    default_msg: ClassVar[str] = "Internal error"

    def __init__(
        self,
        msg: str | None = None,
        *,
        errors: Sequence[FieldError] = (),
        retry_after: float | None = None,
        incident: str | None = None,
    ) -> None:
        self.msg = self.default_msg if msg is None else msg
        self.errors = tuple(errors)
        self.retry_after = retry_after
        self.incident = incident
        super().__init__(self.msg)

    def body(self) -> ErrorBody:
        """Return the error as the ``data`` of a reply."""
        return ErrorBody(self.code, self.msg, self.is_retryable, self.errors, self.retry_after, self.incident)


class InternalError(AppError):
    """A fault of the program. The client gets the incident id and no other detail."""


class UnknownPacketError(AppError):
    """No handler is registered for the ``pkg_id``."""

    code = "unknown_packet"
    http_status = 404
    default_msg = "No handler found"


class InvalidDataError(AppError):
    """The input is well-formed, but not valid."""

    code = "invalid_data"
    status_code = RSPCode.INVALID_DATA
    http_status = 400
    default_msg = "Invalid data"

    @classmethod
    def of(cls, errors: Sequence[FieldError]) -> "InvalidDataError":
        """Make an error that counts the invalid fields in its message, and lists them."""
        count = len(errors)
        return cls(f"{count} field{' is' if count == 1 else 's are'} invalid", errors=errors)


class BadFrameError(InvalidDataError):
    """The frame cannot be decoded with the connection's codec."""

    code = "bad_frame"
    default_msg = "The frame cannot be decoded"


class BadEnvelopeError(InvalidDataError):
    """The frame holds no packet: not an object, or ``pkg_id`` or ``req_id`` missing or wrong."""

    code = "bad_envelope"
    default_msg = "The envelope is invalid"


class BatchTooLargeError(InvalidDataError):
    """The batch holds more packets than one frame may."""

    code = "batch_too_large"
    http_status = 413
    default_msg = "The batch is too large"


class PermissionDeniedError(AppError):
    """The caller is known, and lacks a role."""

    code = "permission_denied"
    status_code = RSPCode.PERMISSION_DENIED
    http_status = 403
    default_msg = "Permission denied"


class NotFoundError(AppError):
    """The resource does not exist, or not for this caller."""

    code = "not_found"
    status_code = RSPCode.NOT_FOUND
    http_status = 404
    default_msg = "Not found"


class ConflictError(AppError):
    """The state does not allow the change; a unique value is taken, for example."""

    code = "conflict"
    status_code = RSPCode.CONFLICT
    http_status = 409
    default_msg = "Conflict"


class DuplicateRequestError(ConflictError):
    """A packet with this ``req_id`` is still running on this connection."""

    code = "duplicate_request"
    default_msg = "A request with this req_id is still running"


class RateLimitedError(AppError):
    """A rate limit is exceeded; ``retry_after`` is the seconds until there is room again."""

    code = "rate_limited"
    status_code = RSPCode.RATE_LIMITED
    http_status = 429
    is_retryable = True
    default_msg = "Too many requests"


class UnavailableError(AppError):
    """A service that the answer needs (database, Redis, Keycloak) is away."""

    code = "unavailable"
    status_code = RSPCode.UNAVAILABLE
    http_status = 503
    is_retryable = True
    default_msg = "Temporarily unavailable"


class TimeoutExceededError(AppError):
    """The work took longer than the client or the server would wait, or was cancelled."""

    code = "timeout"
    status_code = RSPCode.TIMEOUT
    http_status = 504
    is_retryable = True
    default_msg = "The request took too long"


class UnauthenticatedError(AppError):
    """The token is missing, or not accepted."""

    code = "invalid_token"
    status_code = RSPCode.UNAUTHENTICATED
    http_status = 401
    default_msg = "The access token is not valid"


class TokenExpiredError(UnauthenticatedError):
    """The token has expired."""

    code = "token_expired"
    default_msg = "The access token has expired"


class DifferentUserError(UnauthenticatedError):
    """An open connection cannot change its user."""

    code = "different_user"
    default_msg = "The token belongs to another user than the connection"
