"""The application."""

from litestar import Litestar

from starpost import create_app
from starpost.server import DrainSignal
from tests.specimen import domains
from tests.specimen.pkg_ids import PkgID
from tests.specimen.settings import Settings

TITLE = "Specimen"
VERSION = "1.2.3"


def create(settings: Settings, drain: DrainSignal | None = None) -> Litestar:
    """Make the application; nothing is started by it."""
    return create_app(settings, domains=domains, pkg_ids=PkgID, title=TITLE, version=VERSION, drain=drain)


def create_application(drain: DrainSignal) -> Litestar:
    """Make the application of a worker, from the environment."""
    return create(Settings.load(dotenv=None), drain)
