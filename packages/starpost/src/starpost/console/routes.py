"""Routes of the console: ``/`` and its files below ``/console``.

The page consists of static files. It reads the packets and the sign-in address from ``/schema/asyncapi.json``.
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
    """Return the routes. They exist in every environment, because the permission table names them in every one.

    In production, and with ``CONSOLE_ENABLED=false``, they answer 404.
    """

    async def refuse_unless_served(_request: Request[Any, Any, Any]) -> None:
        """Answer 404 where the console is not served."""
        if not settings.is_console_served:
            raise NotFoundError("The console is not served here")

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
