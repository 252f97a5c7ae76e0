"""The console's routes: ``/`` and its files below ``/console``.

The page is made of files alone. What it shows, and where it signs in, it reads from ``/schema/asyncapi.json``.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from litestar import MediaType, Request, Router, get
from litestar.datastructures import CacheControlHeader
from litestar.handlers import HTTPRouteHandler

from starpost.contract.pages import page_files, page_headers
from starpost.errors import NotFoundError
from starpost.settings import Settings

_STATIC: Final = Path(__file__).parent / "static"


def console_routes(settings: Settings) -> Sequence[HTTPRouteHandler | Router]:
    """The routes, there in every environment, as the permission table names them in each.

    Where the console is not served they answer 404: in production, and with ``CONSOLE_ENABLED=false``.
    """

    async def refuse_unless_served(_request: Request[Any, Any, Any]) -> None:
        """Say that there is nothing, where there is no console."""
        if not settings.is_console_served:
            raise NotFoundError("There is no console here")

    @get(
        "/",
        media_type=MediaType.HTML,
        include_in_schema=False,
        before_request=refuse_unless_served,
        cache_control=CacheControlHeader(no_cache=True),
        response_headers=page_headers(settings),
        sync_to_thread=False,
    )
    def console() -> bytes:
        """The page."""
        return (_STATIC / "index.html").read_bytes()

    files = page_files(
        "console-files",
        "/console",
        [_STATIC],
        cache_control=CacheControlHeader(no_cache=True),
        before_request=refuse_unless_served,
    )
    return [console, files]
