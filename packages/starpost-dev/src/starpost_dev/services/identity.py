"""Identity server of the development services."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from starpost_dev.layout import REALM_FILE
from starpost_dev.services.account import Account
from starpost_dev.services.endpoints import IdentityEndpoint
from starpost_dev.services.errors import ServiceError
from starpost_dev.services.processes import StopSteps
from starpost_dev.services.server import Server
from starpost_dev.services.state import StateFolder
from starpost_dev.services.watchdog import Watchdog

#: The kinds of identity servers, as the variable KEYCLOAK names them.
DEVELOPMENT = "development"
REAL = "real"
KINDS = (DEVELOPMENT, REAL)


class IdentityServer(Server):
    """Server with Keycloak's endpoints and the project's realm, run as the owner of the checkout's state.

    It is a module of the project, which prints one line of JSON with its `base_url` when it answers.
    """

    kind: ClassVar[str]
    module: ClassVar[str]

    def __init__(
        self, folder: Path, account: Account, watchdog: Watchdog, checkout: Path, port: int | None = None
    ) -> None:
        super().__init__(folder, account, watchdog, port)
        self._checkout = checkout
        self._log_start = 0
        self._base_url = ""

    @property
    def endpoint(self) -> IdentityEndpoint:
        """Endpoint of the server."""
        return IdentityEndpoint(self._base_url, self.kind)

    def _prepare(self) -> None:
        if not self.folder.exists():
            self.folder.mkdir(mode=0o700)
            self._account.take(self.folder)

    def _command(self, port: int) -> list[str]:
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        return [
            sys.executable, "-m", self.module,
            "--host", self.host,
            "--port", str(port),
            "--realm-file", str(self._checkout / REALM_FILE),
            "--state", str(self.folder),
        ]  # fmt: skip

    def _working_folder(self) -> Path:
        return self._checkout

    def _answers(self, port: int) -> bool:  # noqa: ARG002 - it says by itself where it listens
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            for line in log:
                if line.startswith(b'{"base_url"') and line.endswith(b"\n"):
                    self._base_url = json.loads(line)["base_url"]
                    return True
        return False

    def _marks(self) -> Sequence[Sequence[str]]:
        return [(self.module, str(self.folder))]


class DevelopmentRealm(IdentityServer):
    """Development realm, `python -m starpost_dev.realm`."""

    title: ClassVar[str] = "The development realm"
    kind: ClassVar[str] = DEVELOPMENT
    module: ClassVar[str] = "starpost_dev.realm"


class RealKeycloak(IdentityServer):
    """Real Keycloak, `python -m starpost_dev.keycloak`, which runs Java as its child."""

    title: ClassVar[str] = "Keycloak"
    kind: ClassVar[str] = REAL
    module: ClassVar[str] = "starpost_dev.keycloak"
    # Longer than the module's own limit, so that the module can say why it failed.
    start_seconds: ClassVar[float] = 270.0
    # The module gives Java 20 s to write its database. If we killed it, Java would go on.
    stop_steps: ClassVar[StopSteps] = ((signal.SIGTERM, 25.0), (signal.SIGKILL, 2.0))

    def _marks(self) -> Sequence[Sequence[str]]:
        # Java outlives the module if that is killed.
        return [*super()._marks(), (f"-Dkc.home.dir={self.folder}",)]


def identity_server(
    kind: str, state: StateFolder, watchdog: Watchdog, checkout: Path, port: int | None = None
) -> IdentityServer:
    """Make the identity server of a set.

    Args:
        kind: `development` or `real`.
        state: The folder of the set.
        watchdog: Ends the server when this process is killed.
        checkout: The root folder of the project.
        port: Preferred port, so that the issuer of tokens stays the same between runs.

    Raises:
        ServiceError: The kind is unknown.
    """
    match kind:
        case "development":
            return DevelopmentRealm(state.path / "realm", state.owner, watchdog, checkout, port)
        case "real":
            # A folder of its own, since `make keycloak` may run at the same time.
            return RealKeycloak(state.path / "served-keycloak", state.owner, watchdog, checkout, port)
        case _:
            raise ServiceError(f"KEYCLOAK is {' or '.join(KINDS)}, not {kind!r}.")
