"""Authors, over the socket and over HTTP."""

from litestar.di import Provide

from starpost import Domain
from tests.specimen.domains.authors.packets import pkg_router
from tests.specimen.domains.authors.routes import router
from tests.specimen.domains.authors.service import AUTHORS, provide_authors

domain = Domain(
    name="authors",
    packets=[pkg_router],
    routes=[router],
    topics=[AUTHORS],
    dependencies={"authors": Provide(provide_authors, sync_to_thread=False)},
)
