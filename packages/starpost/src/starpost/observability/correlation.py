"""Correlation: the request or packet that a line of the log belongs to.

One context variable holds the current ``Correlation``. Entering one costs an object, which msgspec makes in a quarter
of the time that Python takes, and a ``ContextVar.set``; its fields are only read, and an id is only made, when a line
is written or an error needs an ``incident``.
"""

import re
import secrets
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

_WELL_FORMED: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
"""Ids that we accept from a client: short, and harmless in a header, a log line and a search."""

_TRACEPARENT: Final = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
"""W3C Trace Context, version 00."""


_IDS_AT_ONCE: Final = 256

_ids: Final[list[str]] = []


def new_id() -> str:
    """Return 128 random bits as 32 hexadecimal digits, the form of a W3C trace id."""
    try:
        return _ids.pop()
    except IndexError:
        # Many at a time: each call of the kernel's random source releases the interpreter's lock.
        digits = secrets.token_hex(16 * _IDS_AT_ONCE)
        _ids.extend(digits[start : start + 32] for start in range(32, len(digits), 32))
        return digits[:32]


class Correlation(Struct, kw_only=True):
    """Correlation of one HTTP request."""

    known_id: str | None = None
    """Id that the client sent, or that ``id`` made; ``None`` until somebody needs one."""

    @property
    def id(self) -> str:
        """Id on every line of this request or packet, and in its error."""
        if self.known_id is None:
            self.known_id = new_id()
        return self.known_id

    def fields(self) -> Mapping[str, Any]:
        """Return the fields that each of its log lines has."""
        return {"correlation_id": self.id}

    @classmethod
    def from_headers(cls, request_id: str | None, traceparent: str | None) -> "Correlation":
        """Use a well-formed ``X-Request-ID``, else the trace id of ``traceparent`` (W3C), else an id of our own."""
        if request_id is not None and _WELL_FORMED.fullmatch(request_id):
            return cls(known_id=request_id)
        if traceparent is not None and (match := _TRACEPARENT.fullmatch(traceparent)):
            return cls(known_id=match[1])
        return cls()


class PacketCorrelation(Correlation):
    """Correlation of one packet."""

    connection_id: str
    """Id of the socket."""
    user: str | None
    """Name of the sender; ``None`` before AUTH."""
    pkg_id: int
    req_id: UUID
    """Id that the client chose; any number of packets may share it."""

    def fields(self) -> Mapping[str, Any]:
        """Return the fields that each of its log lines has."""
        return {
            "correlation_id": self.id,
            "connection": self.connection_id,
            "user": self.user,
            "pkg_id": self.pkg_id,
            "req_id": str(self.req_id),
        }


_current: ContextVar[Correlation | None] = ContextVar("correlation", default=None)


enter: Final = _current.set
"""Make a correlation the current one of this task. Returns the token for ``leave``."""

leave: Final = _current.reset
"""Restore the correlation that was current before ``enter``, which has returned the token."""

current: Final = _current.get
"""Return the current correlation of this task; ``None`` outside of requests, packets and tasks."""


def incident() -> str:
    """Return the id for an error's ``incident``: that of the current request or packet, else a new one."""
    correlation = _current.get()
    return new_id() if correlation is None else correlation.id
