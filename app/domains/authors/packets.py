"""Authors over the socket."""

from app.domains.authors.schemas import (
    AuthorKey,
    AuthorName,
    AuthorQuery,
    AuthorRename,
    AuthorView,
    AuthorWithBooks,
    BookCreate,
    BookQuery,
    BookView,
)
from app.domains.authors.service import AuthorService
from app.pkg_ids import PkgID
from starpost import NoData, PackageRouter, Page, RequestModel

pkg_router = PackageRouter()


@pkg_router.register(PkgID.GET_AUTHORS)
async def get_authors(request: RequestModel[AuthorQuery], authors: AuthorService) -> Page[AuthorView]:
    """A page of authors."""
    return await authors.page(request.data)


@pkg_router.register(PkgID.CREATE_AUTHOR)
async def create_author(request: RequestModel[AuthorName], authors: AuthorService) -> AuthorView:
    """Add an author."""
    return await authors.create(request.data)


@pkg_router.register(PkgID.GET_AUTHOR)
async def get_author(request: RequestModel[AuthorKey], authors: AuthorService) -> AuthorWithBooks:
    """An author with their books."""
    return await authors.get(request.data.id)


@pkg_router.register(PkgID.UPDATE_AUTHOR)
async def update_author(request: RequestModel[AuthorRename], authors: AuthorService) -> AuthorView:
    """Give an author another name."""
    return await authors.rename(request.data)


@pkg_router.register(PkgID.DELETE_AUTHOR)
async def delete_author(request: RequestModel[AuthorKey], authors: AuthorService) -> NoData:
    """Remove an author and their books."""
    await authors.delete(request.data.id)
    return NoData()


@pkg_router.register(PkgID.GET_BOOKS)
async def get_books(request: RequestModel[BookQuery], authors: AuthorService) -> Page[BookView]:
    """A page of an author's books."""
    return await authors.books(request.data)


@pkg_router.register(PkgID.CREATE_BOOK)
async def create_book(request: RequestModel[BookCreate], authors: AuthorService) -> BookView:
    """Add a book to an author."""
    return await authors.add_book(request.data)
