import pytest

from tests.conftest import Serve
from tests.framework.server.launched import Launched


@pytest.fixture(scope="session")
def probe(serve: Serve) -> Launched:
    """The probe application with the settings that most tests want."""
    return serve()
