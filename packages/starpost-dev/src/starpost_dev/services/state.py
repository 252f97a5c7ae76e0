"""State folder: a set's data, logs and ports, with their permissions."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from starpost_dev.services.account import Account, current_account, owner_of, service_account
from starpost_dev.services.errors import ServiceError

# sockaddr_un holds 104 bytes on macOS and 108 on Linux, the final zero included.
_LONGEST_SOCKET_PATH = 100
# Not TMPDIR: shells with different values must find the same set.
_SHORT_FOLDER = Path("/tmp")  # noqa: S108 - the owner and the mode of what is found there are checked


@dataclass(frozen=True, slots=True)
class StateFolder:
    """Prepared state folder.

    Attributes:
        path: Absolute, without symbolic links.
        owner: Owner of the folder; the development realm runs as this account.
        account: Account that runs PostgreSQL and Valkey; differs from the owner only if that is root.
    """

    path: Path
    owner: Account
    account: Account

    @property
    def socket(self) -> Path:
        """Unix socket of the supervisor."""
        return self.path / "supervisor.sock"

    @property
    def copies(self) -> Path:
        """Folder for copies of binaries that the account cannot reach in the environment."""
        return self.path / "binaries"

    def open_lock(self, name: str) -> int:
        """Open a file of the folder to lock it. The caller closes the descriptor."""
        file = self.path / name
        descriptor = os.open(file, os.O_RDONLY | os.O_CREAT, 0o600)
        # Root may use another user's folder, and that user must be able to open the file afterwards.
        self.owner.take(file)
        return descriptor


def checkout_state(checkout: Path) -> StateFolder:
    """Return the state folder of a checkout, and make it if necessary: `.dev` there, else a short one in /tmp.

    The second is used if the path of a socket in `.dev` would be too long, or if root's servers, which run as another
    account, could not reach the checkout.

    Args:
        checkout: The root folder of the project.

    Raises:
        ServiceError: The folder cannot be made, or belongs to another user.
    """
    checkout = checkout.resolve()
    folder = checkout / ".dev"
    if len(os.fsencode(folder / "supervisor.sock")) <= _LONGEST_SOCKET_PATH:
        state = _prepare(folder)
        if state.account.can_enter(state.path):
            return state
        if not any(folder.iterdir()):
            folder.rmdir()
    digest = hashlib.sha256(os.fsencode(checkout)).hexdigest()[:12]
    return _prepare(_SHORT_FOLDER / f"starpost-{os.geteuid()}-{digest}")


def temporary_state() -> StateFolder:
    """Make a state folder for a throw-away set. The caller removes it.

    Raises:
        ServiceError: No temporary folder can be made or reached.
    """
    for parent in (Path(tempfile.gettempdir()), _SHORT_FOLDER):
        folder = Path(tempfile.mkdtemp(prefix="starpost-test-", dir=parent))
        state = _prepare(folder)
        if state.account.can_enter(folder):
            return state
        shutil.rmtree(folder)
    raise ServiceError(f"The account {state.account.name} cannot reach {parent}: set TMPDIR to a folder that it can.")


def _prepare(folder: Path) -> StateFolder:
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ServiceError(
            f"The folder {folder} of the development services cannot be made: {error.strerror}."
        ) from error
    if folder.parent == _SHORT_FOLDER and not stat.S_ISDIR(folder.lstat().st_mode):
        raise ServiceError(f"{folder} is not a folder of the development services: remove it.")
    folder = folder.resolve()
    owner = owner_of(folder)
    if owner.uid != os.geteuid() and (os.geteuid() != 0 or folder.parent == _SHORT_FOLDER):
        raise ServiceError(
            f"The development services' data in {folder} belongs to {owner.name}, not to {current_account().name}: "
            "run make as that user, or remove the folder."
        )
    account = service_account(owner)
    if account.uid == owner.uid:
        folder.chmod(0o700)
    else:
        # The servers' account can reach its own folders inside, but cannot list this one.
        os.chown(folder, owner.uid, account.gid)
        folder.chmod(0o710)
    return StateFolder(folder, owner, account)
