"""The kernel's count of what a socket has received, on real sockets."""

import socket
from collections.abc import Iterator

import pytest

from starpost.connections.received import Link, ReceivedBytes, link_of

ANY = "0.0.0.0"  # noqa: S104 - that is what is tested

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_NETLINK"), reason="Linux alone tells")


@pytest.fixture
def received() -> Iterator[ReceivedBytes]:
    received = ReceivedBytes()
    received.open()
    yield received
    received.close()


@pytest.mark.parametrize(
    ("listening", "called"),
    [("127.0.0.1", "127.0.0.1"), (ANY, "127.0.0.1"), ("::1", "::1"), ("::", "::1"), ("::", "127.0.0.1")],
)
def test_bytes_of_one_connection(received: ReceivedBytes, listening: str, called: str) -> None:
    family = socket.AF_INET6 if ":" in listening else socket.AF_INET
    try:
        server = socket.create_server((listening, 0), family=family, dualstack_ipv6=listening == "::")
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    with server:
        address = (called, server.getsockname()[1])
        with socket.create_connection(address) as client, socket.create_connection(address) as another:
            peers = [server.accept() for _ in range(2)]
            links = {peer[1]: Link((listening, address[1]), (peer[0], peer[1])) for _, peer in peers}
            mine = links[client.getsockname()[1]]
            assert received.of(mine) == 0
            client.sendall(b"x" * 1000)
            another.sendall(b"y")
            client.sendall(b"x" * 234)
            assert received.of(mine) == 1234, "read by nobody yet"
            assert received.of(links[another.getsockname()[1]]) == 1
            for accepted, _ in peers:
                accepted.close()
    assert received.of(mine) is None or received.of(mine) == 1234, "gone, or about to go"


def test_a_connection_that_there_is_not(received: ReceivedBytes) -> None:
    for host in ("127.0.0.1", ANY, "::"):
        assert received.of(Link((host, 1), ("127.0.0.1", 1))) is None
    assert received.of(Link(("127.0.0.1", 1), ("::1", 1))) is None
    assert received.of(Link(("127.0.0.1", 1), ("no address", 1))) is None, "and none that is asked for hurts"


def test_nothing_is_known_before_it_is_opened() -> None:
    assert ReceivedBytes().of(Link(("127.0.0.1", 1), ("127.0.0.1", 1))) is None


def test_ports_may_be_strings() -> None:
    scope = {"server": ("127.0.0.1", "80"), "client": ("1.2.3.4", "5")}
    assert link_of(scope.get("server"), scope.get("client")) == Link(("127.0.0.1", 80), ("1.2.3.4", 5))


@pytest.mark.parametrize("scope", [{}, {"server": ("a.sock", None), "client": None}, {"client": ("1.2.3.4", 5)}])
def test_a_scope_of_no_tcp_connection(scope: dict[str, object]) -> None:
    assert link_of(scope.get("server"), scope.get("client")) is None
