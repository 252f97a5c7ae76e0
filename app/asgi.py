"""The application: this project's settings, domains and packet numbers, given to the framework."""

from functools import cache

from litestar import Litestar

from app import __version__, domains
from app.pkg_ids import PkgID
from app.settings import Settings
from starpost import create_app, create_unlaunched
from starpost.server import DrainSignal

TITLE = "Starpost"


def create(settings: Settings, drain: DrainSignal | None = None) -> Litestar:
    """Make the application; nothing is started by it."""
    return create_app(settings, domains=domains, pkg_ids=PkgID, title=TITLE, version=__version__, drain=drain)


def create_application(drain: DrainSignal) -> Litestar:
    """Make the application of a worker, from the environment."""
    return create(Settings.load(), drain)


@cache
def _for_other_servers() -> Litestar:
    return create_unlaunched(Settings.load(), create)


def __getattr__(name: str) -> Litestar:
    """Make ``application`` when another server asks for it, not for ``python -m app``."""
    if name == "application":
        return _for_other_servers()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
