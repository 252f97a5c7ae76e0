"""Authors over HTTP."""

from litestar import Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from starpost import IdentifierInPath, Page, PageInQuery, PageSizeInQuery, or_unset
from tests.specimen.domains.authors.schemas import AuthorName, AuthorQuery, AuthorView
from tests.specimen.domains.authors.service import AuthorService

Authors = NamedDependency[AuthorService]


@get("/authors")
async def list_authors(
    authors: Authors, page: PageInQuery = None, per_page: PageSizeInQuery = None
) -> Page[AuthorView]:
    """A page of authors."""
    return await authors.page(AuthorQuery(or_unset(page), or_unset(per_page)))


@post("/authors")
async def create_author(data: JSONBody[AuthorName], authors: Authors) -> AuthorView:
    """Add an author."""
    return await authors.create(data)


@delete("/authors/{author_id:int}")
async def delete_author(author_id: IdentifierInPath, authors: Authors) -> None:
    """Remove an author."""
    await authors.delete(author_id)


router = Router("/", route_handlers=[list_authors, create_author, delete_author], tags=["authors"])
