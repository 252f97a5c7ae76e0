"""Routes of the console: ``/`` and its files below ``/console``.

The page consists of static files. It reads the packets and the sign-in address from ``/schema/asyncapi.json``.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from litestar import MediaType, Request, Response, Router, get
from litestar.datastructures import CacheControlHeader
from litestar.handlers import HTTPRouteHandler

from starpost.contract.pages import POLICY, page_files, page_policy
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
        sync_to_thread=False,
    )
    def console(request: Request[Any, Any, Any]) -> Response[bytes]:
        """The page."""
        policy = page_policy(settings, _origin_of_sockets(settings, request.url.hostname or ""))
        return Response((_STATIC / "index.html").read_bytes(), headers={POLICY: policy})

    files = page_files(
        "console-files",
        "/console",
        [_STATIC],
        cache_control=CacheControlHeader(no_cache=True),
        before_request=refuse_unless_served,
    )
    return [console, files]


def _origin_of_sockets(settings: Settings, name: str) -> str:
    """Return the origin that the AsyncAPI document names for sockets; empty for the page's own.

    Args:
        settings: Settings of the installation.
        name: By which the page was called; ``ALLOWED_HOSTS`` has let it through.
    """
    if settings.ws_public_url:
        public = urlsplit(settings.ws_public_url)
        return f"{public.scheme}://{public.netloc}"
    # A policy cannot name an IPv6 address: there, the page stays at its own port.
    return f"ws://{name}:{settings.ws_port}" if settings.ws_port and ":" not in name else ""
