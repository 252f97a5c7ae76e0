"""Which account a server runs as: never root, because PostgreSQL refuses it."""

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
    """The arguments of `subprocess.Popen` that change to another account."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this machine, by number: it need not have a name."""

    uid: int
    gid: int

    @property
    def name(self) -> str:
        """The account's name, or its number when it has none."""
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return f"uid {self.uid}"

    @property
    def has_passwd_entry(self) -> bool:
        """Whether the account is known by name, as `initdb` demands."""
        try:
            pwd.getpwuid(self.uid)
        except KeyError:
            return False
        return True

    @property
    def is_current(self) -> bool:
        """Whether this process already runs as the account."""
        return self.uid == os.geteuid()

    def identity(self) -> Identity:
        """The `subprocess.Popen` arguments that start a process as this account."""
        if self.is_current:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def take(self, path: Path) -> None:
        """Make the account the owner of one file or folder that this process made."""
        if not self.is_current:
            os.chown(path, self.uid, self.gid)

    def can_enter(self, folder: Path) -> bool:
        """Whether the account reaches a folder; asked of the kernel, since ACLs and mounts count too."""
        return self._succeeds(["/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder)])

    def can_execute(self, program: Path) -> bool:
        """Whether the account can start a program and the libraries beside it."""
        return self._succeeds([str(program), "--version"])

    def _succeeds(self, argv: list[str]) -> bool:
        try:
            done = subprocess.run(argv, cwd="/", capture_output=True, check=False, timeout=30, **self.identity())
        except OSError:
            # The account may not even search the folder of the program.
            return False
        return done.returncode == 0


def current_account() -> Account:
    """The account of this process."""
    return Account(os.geteuid(), os.getegid())


def owner_of(path: Path) -> Account:
    """The account that owns a file or folder, with its own group: the folder's may be another's."""
    status = path.stat()
    if status.st_uid == os.geteuid():
        return current_account()
    try:
        return Account(status.st_uid, pwd.getpwuid(status.st_uid).pw_gid)
    except KeyError:
        return Account(status.st_uid, status.st_gid)


def service_account(owner: Account) -> Account:
    """The account that runs the servers of a state folder.

    Args:
        owner: The owner of the state folder.

    Raises:
        ServiceError: This process is root, the folder is root's, and there is no other account to change to.
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
