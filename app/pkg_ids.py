"""Every packet number of the application. A number is never used again for something else: old clients know it."""

from enum import IntEnum


class PkgID(IntEnum):
    """The packets of the domains; ``make ws-handlers`` lists them with their types."""

    GET_AUTHORS = 1
    CREATE_AUTHOR = 2
    GET_AUTHOR = 3
    UPDATE_AUTHOR = 4
    DELETE_AUTHOR = 5
    GET_BOOKS = 6
    CREATE_BOOK = 7
    AUTHOR_EVENT = 8
