"""Pages for browsers: their content security policy and their files."""

from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from litestar import Request, Router
from litestar.datastructures import CacheControlHeader, ResponseHeader
from litestar.static_files import create_static_files_router

from starpost.settings import Settings

POLICY: Final = "Content-Security-Policy"


def page_headers(settings: Settings) -> list[ResponseHeader]:
    """Return the headers of a page that opens no sockets."""
    return [ResponseHeader(name=POLICY, value=page_policy(settings))]


def page_policy(settings: Settings, sockets: str = "") -> str:
    """Return the policy of a page that runs only its own files, and connects only to this server and to Keycloak.

    ``'self'`` allows WebSockets to the page's own host as well (Content Security Policy Level 3, section 6.7.2.8), but
    not to another port of it.
    No ``Cross-Origin-Opener-Policy``: Swagger UI's sign-in window answers to the window that opened it.

    Args:
        settings: Settings of the installation.
        sockets: Origin of the sockets, if the page opens some and they are not at its own.
    """
    keycloak = urlsplit(settings.keycloak_issuer)
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": f"'self' {keycloak.scheme}://{keycloak.netloc} {sockets}".rstrip(),
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{k} {v}" for k, v in policy.items())


def page_files(
    name: str,
    path: str,
    directories: Iterable[Path],
    *,
    cache_control: CacheControlHeader,
    before_request: Callable[[Request[Any, Any, Any]], Awaitable[None]] | None = None,
) -> Router:
    """Return a router for the files below the directories. The first directory that has a file serves it."""
    return create_static_files_router(
        name=name,
        path=path,
        directories=[str(directory) for directory in directories],
        cache_control=cache_control,
        before_request=before_request,
        include_in_schema=False,
    )
