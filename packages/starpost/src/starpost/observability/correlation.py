"""Which request or packet a line of the log belongs to.

One context variable holds the current ``Correlation``. Entering one costs an object, which msgspec makes in a quarter
of the time that Python takes, and a ``ContextVar.set``; its fields are only read, and an id is only made, when a line
is written or an error needs an ``incident``.
"""

import re
import secrets
from collections.abc import Mapping
from contextvars import ContextVar, Token
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

_WELL_FORMED: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
"""Ids that are taken over from a client: short, and harmless in a header, a log line and a search."""

_TRACEPARENT: Final = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
"""W3C Trace Context, version 00."""


_IDS_AT_ONCE: Final = 256

_ids: Final[list[str]] = []


def new_id() -> str:
    """An id nobody can guess or collide with: 32 hexadecimal digits, the form of a W3C trace id."""
    try:
        return _ids.pop()
    except IndexError:
        # Many at a time: to ask the kernel for random bytes lets go of the interpreter's lock, each time.
        digits = secrets.token_hex(16 * _IDS_AT_ONCE)
        _ids.extend(digits[start : start + 32] for start in range(32, len(digits), 32))
        return digits[:32]


class Correlation(Struct, kw_only=True):
    """One HTTP request."""

    known_id: str | None = None
    """Taken over from the client; else made when it is first needed."""

    @property
    def id(self) -> str:
        """The id that is on every line, and in the error, of this request or packet."""
        if self.known_id is None:
            self.known_id = new_id()
        return self.known_id

    def fields(self) -> Mapping[str, Any]:
        """What a log line says about it."""
        return {"correlation_id": self.id}

    @classmethod
    def from_headers(cls, request_id: str | None, traceparent: str | None) -> "Correlation":
        """Take over a well-formed ``X-Request-ID``, else the trace id of ``traceparent`` (W3C), else make one."""
        if request_id is not None and _WELL_FORMED.fullmatch(request_id):
            return cls(known_id=request_id)
        if traceparent is not None and (match := _TRACEPARENT.fullmatch(traceparent)):
            return cls(known_id=match[1])
        return cls()


class PacketCorrelation(Correlation):
    """One packet."""

    connection_id: str
    """The socket's."""
    user: str | None
    """Who sent it; ``None`` before AUTH."""
    pkg_id: int
    req_id: UUID
    """The client's own id of it, which any number of packets may share."""

    def fields(self) -> Mapping[str, Any]:
        """What a log line says about it."""
        return {
            "correlation_id": self.id,
            "connection": self.connection_id,
            "user": self.user,
            "pkg_id": self.pkg_id,
            "req_id": str(self.req_id),
        }


_current: ContextVar[Correlation | None] = ContextVar("correlation", default=None)


def enter(correlation: Correlation) -> Token[Correlation | None]:
    """Make it the current one of this task; ``leave`` takes the token."""
    return _current.set(correlation)


def leave(token: Token[Correlation | None]) -> None:
    """Go back to the one before."""
    _current.reset(token)


def current() -> Correlation | None:
    """The one of this task."""
    return _current.get()


def incident() -> str:
    """The id for an error's ``incident``: that of the current request or packet, so that one search finds all."""
    correlation = _current.get()
    return new_id() if correlation is None else correlation.id
