"""The packets' numbers."""

from enum import IntEnum


class PkgID(IntEnum):
    """The packets of the domains."""

    GET_AUTHORS = 1
    CREATE_AUTHOR = 2
    UPDATE_AUTHOR = 4
    DELETE_AUTHOR = 5
    AUTHOR_EVENT = 8
