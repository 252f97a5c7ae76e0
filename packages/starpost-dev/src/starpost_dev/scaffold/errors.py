"""Errors of the scaffold."""


class ScaffoldError(Exception):
    """The packet cannot be written; the message is one sentence for the user."""
