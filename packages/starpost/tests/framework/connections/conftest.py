import pytest

from starpost.testing import Serve
from starpost.testing.launched import Launched
from starpost_dev.services.ports import free_port


@pytest.fixture(scope="session")
def probe(serve: Serve) -> Launched:
    """The probe application with the settings that most tests want."""
    return serve()


@pytest.fixture(scope="session")
def narrow(serve: Serve) -> Launched:
    """Lets little in: few connections of a user, short frames, few faults, listed origins. Warns of the expiry late."""
    return serve(
        WS_MAX_BAD_FRAMES="3",
        WS_MAX_MESSAGE_BYTES="4000",
        WS_MAX_CONNECTIONS_PER_USER="2",
        WS_TOKEN_WARNING="2.5",
        ALLOWED_ORIGINS="https://app.example, https://other.example",
    )


@pytest.fixture(scope="session")
def hasty(serve: Serve) -> Launched:
    """Waits neither for AUTH nor for a packet, and takes no token from the query."""
    return serve(WS_AUTH_TIMEOUT="0.3", WS_MAX_TIMEOUT="0.3", WS_QUERY_TOKEN="false")


@pytest.fixture(scope="session")
def wary(serve: Serve) -> Launched:
    """Soon takes a client for lost."""
    return serve(WS_HEARTBEAT="0.4", WS_HEARTBEAT_TIMEOUT="3", WS_SEND_TIMEOUT="0.5")


@pytest.fixture(scope="session")
def parallel(serve: Serve) -> Launched:
    """Runs three packets of a connection at once."""
    return serve(WS_MAX_PARALLEL="3", WS_TOKEN_WARNING="0.1")


@pytest.fixture(scope="session")
def without_fast_paths(serve: Serve) -> Launched:
    """The same as ``probe`` on Litestar's, Granian's and SQLAlchemy's own ways."""
    return serve(FAST_PATHS="false")


@pytest.fixture(scope="session")
def second_door(serve: Serve) -> Launched:
    """The same as ``probe``, whose sockets come by the second door."""
    return serve(WS_PORT=str(free_port())).at_second_door()


@pytest.fixture(params=["probe", "parallel", "without_fast_paths", "second_door"])
def either(request: pytest.FixtureRequest) -> Launched:
    """One packet at a time, several, without the fast paths, and by the second door: what holds for all."""
    server: Launched = request.getfixturevalue(request.param)
    return server
