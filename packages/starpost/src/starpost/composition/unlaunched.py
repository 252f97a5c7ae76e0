"""Application for other servers than our launcher: Granian's own command, Litestar's, uvicorn.

    granian --interface asgi app.asgi:application
    litestar --app app.asgi:application run

Our launcher (``python -m app``) does more than start a server; what is missing without it is a warning in the log.
"""

from collections.abc import Callable
from typing import Final, TypeVar

import structlog
from litestar import Litestar

from starpost.observability.logs import configure_logs
from starpost.settings import Settings

S = TypeVar("S", bound=Settings)

MISSING: Final = (
    "drain: on a stop, sockets are dropped and packets cut off",
    "HOST, PORT, WORKERS, WORKER_CPUS, RELOAD: the server has options of its own",
    "Granian's limits for sockets and headers",
    "metrics of all workers in one answer",
)
"""Services of the launcher that are missing."""

log = structlog.get_logger(__name__)


def create_unlaunched(settings: S, create: Callable[[S], Litestar]) -> Litestar:
    """Make the application as a worker of the launcher would, as far as that is possible here.

    Args:
        settings: Settings of the installation.
        create: Makes the application.
    """
    configure_logs(settings.log_level, settings.log_format)
    app = create(settings)
    # Logged at the start of the lifespan only, since commands such as `litestar routes` do not serve.
    app.on_startup.append(_warn)
    return app


def _warn() -> None:
    log.warning("no_launcher", missing=MISSING, instead="python -m app, or make serve")
