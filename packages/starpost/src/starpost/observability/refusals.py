"""Refusal for any exception that ends a packet or a request: what the client may see, and what the log has to know.

======================== ============================ ==================================================
raised                   the client sees              the log has
======================== ============================ ==================================================
``AppError``             its code, message and fields nothing: it is an answer like another
what a translator knows  the ``AppError`` made of it  ``packet_refused`` or ``request_refused``, the cause
``InternalError``, and   ``internal``, an incident    ``packet_failed`` or ``request_failed`` under that
anything else                                         incident, with the trace
======================== ============================ ==================================================
"""

from collections.abc import Callable, Sequence
from typing import Literal

from structlog.typing import FilteringBoundLogger

from starpost.errors import AppError, InternalError
from starpost.observability import correlation

Translator = Callable[[Exception], AppError | None]
"""Makes a refusal of an exception that is no fault of the program, such as a lost database."""


class Refusals:
    """Refusals for the exceptions of one way in.

    Args:
        subject: First word of the events in the log.
        log: Writes them.
        translators: Asked in order about an exception that is no ``AppError``.
    """

    def __init__(
        self, subject: Literal["packet", "request"], log: FilteringBoundLogger, translators: Sequence[Translator] = ()
    ) -> None:
        self._refused = f"{subject}_refused"
        self._failed = f"{subject}_failed"
        self._log = log
        self._translators = translators

    def of(self, error: Exception) -> AppError:
        """Return the refusal that an exception means, and log it unless it was raised as one."""
        known = error if isinstance(error, AppError) else self._translated(error)
        if known is None:
            return self.fault(error)
        if type(known) is InternalError:
            return self.fault(error, known.incident)
        if known is not error:
            # The client learns what it can do about it; that it happened, and why, is for the log.
            self._log.info(self._refused, code=known.code, cause=type(error).__name__)
        return known

    def _translated(self, error: Exception) -> AppError | None:
        return next((known for translate in self._translators if (known := translate(error)) is not None), None)

    def fault(self, error: BaseException, incident: str | None = None) -> InternalError:
        """Log a fault of the program, and return the refusal with the id under which the log knows it.

        Args:
            error: The fault; no word of it is in the refusal.
            incident: Its id, if it has one already.
        """
        incident = incident or correlation.incident()
        self._log.error(self._failed, incident=incident, exc_info=error)
        return InternalError(incident=incident)
