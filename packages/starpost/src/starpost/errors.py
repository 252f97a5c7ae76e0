"""What an application may answer when it refuses: one exception tree for packets and for HTTP.

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

A handler, a service or a route raises one of these; the dispatcher makes it a reply, the HTTP layer a problem document
(RFC 9457). Everything else that is raised is a fault of the program and is answered as ``internal``.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import ClassVar

import msgspec


class StartError(Exception):
    """The application cannot start, and the message says why: the log shows it without a trace."""


class RSPCode(IntEnum):
    """The ``status_code`` of a reply."""

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
    """One invalid place of an input: ``path`` is a JSON path (``$.name``), ``msg`` says what is wrong there."""

    path: str
    msg: str


class ErrorBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """The ``data`` of a refusing reply; the members beyond the first three only where they apply."""

    code: str
    msg: str
    # No default on purpose: the wire always carries it, `omit_defaults` would drop a false one.
    retryable: bool
    errors: tuple[FieldError, ...] = ()
    retry_after: float | None = None
    incident: str | None = None


class AppError(Exception):
    """A refusal with a meaning that the client may see.

    Args:
        msg: One sentence for the client; it must hold nothing that the client may not know.
        errors: The invalid places, all of them.
        retry_after: Seconds after which a retry makes sense.
        incident: The id under which the log knows the fault.
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
        """The error as the ``data`` of a reply."""
        return ErrorBody(self.code, self.msg, self.is_retryable, self.errors, self.retry_after, self.incident)


class InternalError(AppError):
    """A fault of the program. The client learns the incident id and nothing else."""


class UnknownPacketError(AppError):
    """No handler is registered for the ``pkg_id``."""

    code = "unknown_packet"
    http_status = 404
    default_msg = "No handler found"


class InvalidDataError(AppError):
    """The input is well-formed and wrong."""

    code = "invalid_data"
    status_code = RSPCode.INVALID_DATA
    http_status = 400
    default_msg = "Invalid data"

    @classmethod
    def of(cls, errors: Sequence[FieldError]) -> "InvalidDataError":
        """Count the invalid fields in the message, and list them."""
        count = len(errors)
        return cls(f"{count} field{' is' if count == 1 else 's are'} invalid", errors=errors)


class BadFrameError(InvalidDataError):
    """The frame is not of the connection's codec."""

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
    """The caller is known, and may not."""

    code = "permission_denied"
    status_code = RSPCode.PERMISSION_DENIED
    http_status = 403
    default_msg = "Permission denied"


class NotFoundError(AppError):
    """There is no such thing, or not for this caller."""

    code = "not_found"
    status_code = RSPCode.NOT_FOUND
    http_status = 404
    default_msg = "Not found"


class ConflictError(AppError):
    """The state does not allow it; a unique value is taken, for example."""

    code = "conflict"
    status_code = RSPCode.CONFLICT
    http_status = 409
    default_msg = "Conflict"


class DuplicateRequestError(ConflictError):
    """A packet with this ``req_id`` is still running on this connection."""

    code = "duplicate_request"
    default_msg = "A request with this req_id is still running"


class RateLimitedError(AppError):
    """Too much in too short a time; ``retry_after`` says when there is room again."""

    code = "rate_limited"
    status_code = RSPCode.RATE_LIMITED
    http_status = 429
    is_retryable = True
    default_msg = "Too many requests"


class UnavailableError(AppError):
    """A part that the answer needs (database, Redis, Keycloak) is away."""

    code = "unavailable"
    status_code = RSPCode.UNAVAILABLE
    http_status = 503
    is_retryable = True
    default_msg = "Temporarily unavailable"


class TimeoutExceededError(AppError):
    """The work took longer than the client or the server was ready to wait, or was cancelled."""

    code = "timeout"
    status_code = RSPCode.TIMEOUT
    http_status = 504
    is_retryable = True
    default_msg = "The request took too long"


class UnauthenticatedError(AppError):
    """No token, or one that is not accepted."""

    code = "invalid_token"
    status_code = RSPCode.UNAUTHENTICATED
    http_status = 401
    default_msg = "The access token is not valid"


class TokenExpiredError(UnauthenticatedError):
    """The token was good once."""

    code = "token_expired"
    default_msg = "The access token has expired"


class DifferentUserError(UnauthenticatedError):
    """An open connection cannot change its user."""

    code = "different_user"
    default_msg = "The token belongs to another user than the connection"
