"""Exception that the development services show to a user."""

from __future__ import annotations


class ServiceError(Exception):
    """A service cannot run; the message is one sentence that says why and what to do.

    Attributes:
        exit_status: Exit status of a command that reports it: 3 if something must be installed first, else 1.
    """

    def __init__(self, message: str, exit_status: int = 1) -> None:
        super().__init__(message)
        self.exit_status = exit_status
