"""Authors over HTTP."""

from typing import Annotated

from litestar import Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter

from app.domains.authors.schemas import (
    MAX_IDENTIFIERS,
    AuthorFilters,
    AuthorName,
    AuthorQuery,
    AuthorRename,
    AuthorView,
    AuthorWithBooks,
    BookCreate,
    BookQuery,
    BookTitle,
    BookView,
)
from app.domains.authors.service import AuthorService
from starpost import (
    CursorInQuery,
    Identifier,
    IdentifierInPath,
    Page,
    PageInQuery,
    PageSizeInQuery,
    SearchTextInQuery,
    or_unset,
)

Authors = NamedDependency[AuthorService]


@get("/authors")
async def list_authors(
    authors: Authors,
    page: PageInQuery = None,
    per_page: PageSizeInQuery = None,
    cursor: CursorInQuery = None,
    name: SearchTextInQuery = None,
    ids: Annotated[list[Identifier] | None, QueryParameter(name="id", max_items=MAX_IDENTIFIERS)] = None,
) -> Page[AuthorView]:
    """A page of authors."""
    filters = AuthorFilters(id=or_unset(ids), name=or_unset(name))
    return await authors.page(AuthorQuery(or_unset(page), or_unset(per_page), or_unset(cursor), filters))


@post("/authors")
async def create_author(data: JSONBody[AuthorName], authors: Authors) -> AuthorView:
    """Add an author."""
    return await authors.create(data)


@get("/authors/{author_id:int}")
async def get_author(author_id: IdentifierInPath, authors: Authors) -> AuthorWithBooks:
    """An author with their books."""
    return await authors.get(author_id)


@patch("/authors/{author_id:int}")
async def update_author(author_id: IdentifierInPath, data: JSONBody[AuthorName], authors: Authors) -> AuthorView:
    """Give an author another name."""
    return await authors.rename(AuthorRename(author_id, data.name))


@delete("/authors/{author_id:int}")
async def delete_author(author_id: IdentifierInPath, authors: Authors) -> None:
    """Remove an author and their books."""
    await authors.delete(author_id)


@get("/authors/{author_id:int}/books")
async def list_books(
    author_id: IdentifierInPath,
    authors: Authors,
    page: PageInQuery = None,
    per_page: PageSizeInQuery = None,
    cursor: CursorInQuery = None,
) -> Page[BookView]:
    """A page of an author's books."""
    return await authors.books(BookQuery(author_id, or_unset(page), or_unset(per_page), or_unset(cursor)))


@post("/authors/{author_id:int}/books")
async def create_book(author_id: IdentifierInPath, data: JSONBody[BookTitle], authors: Authors) -> BookView:
    """Add a book to an author."""
    return await authors.add_book(BookCreate(author_id, data.title))


router = Router(
    "/",
    route_handlers=[list_authors, create_author, get_author, update_author, delete_author, list_books, create_book],
    tags=["authors"],
)
