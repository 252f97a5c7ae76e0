"""The application: this project's settings, domains and packet numbers, given to the framework."""

from litestar import Litestar

from app import __version__, domains
from app.pkg_ids import PkgID
from app.settings import Settings
from starpost import create_app
from starpost.server import DrainSignal

TITLE = "Starpost"


def create(settings: Settings, drain: DrainSignal | None = None) -> Litestar:
    """Make the application; nothing is started by it."""
    return create_app(settings, domains=domains, pkg_ids=PkgID, title=TITLE, version=__version__, drain=drain)


def create_application(drain: DrainSignal) -> Litestar:
    """Make the application of a worker, from the environment."""
    return create(Settings.load(), drain)
