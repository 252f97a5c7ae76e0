"""What the tests of the commands share."""

from pathlib import Path

import pytest

from tests.specimen import REALM_FILE


@pytest.fixture(scope="session")
def realm_file() -> Path:
    """The specimen's."""
    return REALM_FILE
