"""The framework's settings, with the specimen's own permission table."""

from typing import Annotated

from msgspec import Meta

import starpost
from tests.specimen import ACTIONS_FILE


class Settings(starpost.Settings, frozen=True, kw_only=True):
    """Everything that an installation may set."""

    actions_file_path: Annotated[str, Meta(min_length=1, description="permission table")] = str(ACTIONS_FILE)
