"""The example: authors and their books, over the socket and over HTTP, through one service."""

from litestar.di import Provide

from app.domains.authors.packets import pkg_router
from app.domains.authors.routes import router
from app.domains.authors.service import provide_authors
from app.domains.authors.topics import AUTHORS
from starpost import Domain

domain = Domain(
    name="authors",
    packets=[pkg_router],
    routes=[router],
    topics=[AUTHORS],
    dependencies={"authors": Provide(provide_authors, sync_to_thread=False)},
)
