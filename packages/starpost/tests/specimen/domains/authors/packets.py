"""Authors over the socket."""

from starpost import NoData, PackageRouter, Page, RequestModel
from tests.specimen.domains.authors.schemas import AuthorKey, AuthorName, AuthorQuery, AuthorRename, AuthorView
from tests.specimen.domains.authors.service import AuthorService
from tests.specimen.pkg_ids import PkgID

pkg_router = PackageRouter()


@pkg_router.register(PkgID.GET_AUTHORS)
async def get_authors(request: RequestModel[AuthorQuery], authors: AuthorService) -> Page[AuthorView]:
    """A page of authors."""
    return await authors.page(request.data)


@pkg_router.register(PkgID.CREATE_AUTHOR)
async def create_author(request: RequestModel[AuthorName], authors: AuthorService) -> AuthorView:
    """Add an author."""
    return await authors.create(request.data)


@pkg_router.register(PkgID.UPDATE_AUTHOR)
async def update_author(request: RequestModel[AuthorRename], authors: AuthorService) -> AuthorView:
    """Give an author another name."""
    return await authors.rename(request.data)


@pkg_router.register(PkgID.DELETE_AUTHOR)
async def delete_author(request: RequestModel[AuthorKey], authors: AuthorService) -> NoData:
    """Remove an author."""
    await authors.delete(request.data.id)
    return NoData()
