"""Account that runs a server: never root, because PostgreSQL refuses it."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from starpost_dev.services.errors import ServiceError

_UNPRIVILEGED = ("postgres", "nobody", "daemon")


class Identity(TypedDict, total=False):
    """Arguments of `subprocess.Popen` that change to another account."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class Account:
    """User of this machine, by number; it may have no name."""

    uid: int
    gid: int

    @property
    def name(self) -> str:
        """Name of the account, or its number if it has none."""
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return f"uid {self.uid}"

    @property
    def has_passwd_entry(self) -> bool:
        """True if the account has a name, which `initdb` requires."""
        try:
            pwd.getpwuid(self.uid)
        except KeyError:
            return False
        return True

    @property
    def is_current(self) -> bool:
        """True if this process runs as the account."""
        return self.uid == os.geteuid()

    def identity(self) -> Identity:
        """Return the `subprocess.Popen` arguments that start a process as this account."""
        if self.is_current:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def take(self, path: Path) -> None:
        """Make the account the owner of a file or folder that this process made."""
        if not self.is_current:
            os.chown(path, self.uid, self.gid)

    def can_enter(self, folder: Path) -> bool:
        """Return whether the account can enter a folder. The kernel is asked, since ACLs and mounts count too."""
        return self._succeeds(["/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder)])

    def can_execute(self, program: Path) -> bool:
        """Return whether the account can run a program with its libraries."""
        return self._succeeds([str(program), "--version"])

    def _succeeds(self, argv: list[str]) -> bool:
        try:
            done = subprocess.run(argv, cwd="/", capture_output=True, check=False, timeout=30, **self.identity())
        except OSError:
            # The account cannot even enter the folder of the program.
            return False
        return done.returncode == 0


def current_account() -> Account:
    """Return the account of this process."""
    return Account(os.geteuid(), os.getegid())


def owner_of(path: Path) -> Account:
    """Return the owner of a file or folder, with the owner's group, which may differ from the folder's."""
    status = path.stat()
    if status.st_uid == os.geteuid():
        return current_account()
    try:
        return Account(status.st_uid, pwd.getpwuid(status.st_uid).pw_gid)
    except KeyError:
        return Account(status.st_uid, status.st_gid)


def service_account(owner: Account) -> Account:
    """Return the account that runs the servers of a state folder.

    Args:
        owner: The owner of the state folder.

    Raises:
        ServiceError: This process is root, root owns the folder, and there is no other account.
    """
    if owner.uid != 0:
        return owner
    for account in _known(_UNPRIVILEGED):
        return account
    raise ServiceError(
        f"PostgreSQL refuses to run as root, and none of the accounts {', '.join(_UNPRIVILEGED)} exists: "
        "run make as an ordinary user."
    )


def _known(names: tuple[str, ...]) -> Iterator[Account]:
    for name in names:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        yield Account(entry.pw_uid, entry.pw_gid)
