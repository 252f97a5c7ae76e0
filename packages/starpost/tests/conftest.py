"""What the framework's tests share."""

from collections.abc import Callable
from typing import Any

import pytest

from starpost.testing import Serve


@pytest.fixture(scope="session")
def serve(serve: Serve) -> Callable[..., Any]:
    """Run the probe application, unless a test names another; ``None`` is the repository's own."""

    def start(target: str | None = "tests.framework.probe:create", **environ: str) -> Any:
        return serve(target, **environ)

    return start
