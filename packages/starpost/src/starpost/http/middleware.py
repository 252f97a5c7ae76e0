"""Middleware around the application's routing: one list, from the outside in.

1. **transport** records the server's own ends of a socket, which packets use directly. Outermost: whatever wraps
   ``send`` outside of it would be in the way of each packet; whatever is inside costs a packet nothing.
2. **observe** enters the correlation, and writes access log, metrics and the headers of every answer. It comes before
   everything that answers, so that no answer goes without.
3. **proxies** replaces ``scope["client"]`` and ``scope["scheme"]`` by the client's own. Before everything that decides
   by them; the observer reads them afterwards.
4. **hosts** refuses a foreign ``Host``, with 400. The first that refuses, so that such a request costs nothing else.
5. **origins** refuses handshakes of foreign pages, with 403. After the hosts: it compares ``Origin`` with ``Host``.
6. **requests** records running requests, to cancel them when their client has left. Before everything that may wait.
7. **bodies** refuses a body without ``Content-Type`` (415), and bounds the time in which one is read (408).
8. **authenticate** finds the principal, and refuses only callers above their rate (429): strangers by address, before a
   token is verified, users by their budget. The endpoint authenticates handshakes.
9. **sockets** serves the handshakes of the socket's path. The innermost one: all the checks above come first, and
   Litestar's routing has nothing to add (``docs/adr/0028-sockets-before-routing.md``).

Behind it are the routing, the guard (401, 403) and the handlers. Not among Litestar's ``middleware``: for these,
Litestar puts one more exception handler into the way of each request, and they do not see what no route takes.

Each is an ASGI application that is called for requests and handshakes, and hands on what it does not answer without a
coroutine of its own: only the observer has one.
"""

from collections.abc import Callable, Sequence

from litestar import Litestar
from litestar.types import ASGIApp

from starpost.auth.authenticator import Authenticator
from starpost.auth.http import AuthenticationMiddleware, compile_excluded
from starpost.connections.transport import TransportRecorder
from starpost.http.bodies import Bodies, BodyClock
from starpost.http.disconnects import RunningRequests
from starpost.http.hosts import AllowedHosts
from starpost.http.origins import AllowedOrigins
from starpost.http.proxies import TrustedProxies
from starpost.limits import RequestLimits
from starpost.observability.security_log import SecurityLog
from starpost.settings import Settings

Middleware = Callable[[ASGIApp], ASGIApp]
"""Function that takes the next ASGI application and returns the one around it."""


def stack(
    settings: Settings,
    *,
    observe: Middleware,
    requests: RunningRequests,
    authenticator: Authenticator,
    limits: RequestLimits,
    security: SecurityLog,
    sockets: Middleware,
) -> Sequence[Middleware]:
    """Return the list, outermost first.

    Args:
        settings: Settings of the installation.
        observe: Makes the observer of the worker.
        requests: Running requests of the worker.
        authenticator: Verifies tokens.
        limits: Rate limits of users and addresses.
        security: Security log of the worker.
        sockets: Serves sockets before the routing. Left out without ``FAST_PATHS``: Litestar's route serves them then.
    """
    excluded = compile_excluded(settings.excluded_paths)
    return (
        lambda app: TransportRecorder(app, is_direct=settings.fast_paths),
        observe,
        lambda app: TrustedProxies(app, settings.trusted_proxies),
        lambda app: AllowedHosts(app, settings.accepted_hosts, security),
        lambda app: AllowedOrigins(app, settings.allowed_origins, security),
        requests.around,
        lambda app: Bodies(app, BodyClock(settings.body_timeout)),
        lambda app: AuthenticationMiddleware(app, authenticator, limits, excluded, settings.allowed_origins),
        *((sockets,) if settings.fast_paths else ()),
    )


def wrap(app: Litestar, middleware: Sequence[Middleware]) -> None:
    """Put the middleware around the application's routing.

    Args:
        app: The application.
        middleware: Outermost first.
    """
    for layer in reversed(middleware):
        app.asgi_handler = layer(app.asgi_handler)
