"""The one exception that the development services show to a user."""

from __future__ import annotations


class ServiceError(Exception):
    """A service cannot run; the text is one sentence that says why and what to do.

    Attributes:
        exit_status: What a command ends with that says so: 3 when something must be installed first, else 1.
    """

    def __init__(self, message: str, exit_status: int = 1) -> None:
        super().__init__(message)
        self.exit_status = exit_status
