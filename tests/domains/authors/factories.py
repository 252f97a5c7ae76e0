"""Test data of the domain."""

from itertools import count

from polyfactory import Use
from polyfactory.factories.msgspec_factory import MsgspecFactory

from app.domains.authors.schemas import AuthorName, BookTitle

_numbers = count(1)


class AuthorNameFactory(MsgspecFactory[AuthorName]):
    """Names that are unique in a run."""

    __random_seed__ = 1
    name = Use(lambda: f"{AuthorNameFactory.__faker__.name()} {next(_numbers)}")


class BookTitleFactory(MsgspecFactory[BookTitle]):
    __random_seed__ = 1
    title = Use(lambda: BookTitleFactory.__faker__.sentence(nb_words=4))
