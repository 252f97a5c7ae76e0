"""Peers: how they are built and left out, and, where they are built, that the loads speak their protocols."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bench.__main__ import chosen, prepared
from bench.cases import CASES
from bench.cases.deliveries import EVENT
from bench.cases.packets import trivial
from bench.cases.subjects import CENTRIFUGO, FASTAPI, SOCKET_IO
from bench.dialects import (
    centrifugo_batch,
    centrifugo_publication,
    centrifugo_rpc,
    centrifugo_subscription,
    socket_io_event,
)
from bench.loads import handshakes, sockets
from bench.loads.sockets import Announcement, MakeFrames
from bench.loads.window import LoadError
from bench.peers import LeftOutError, Peer
from bench.realm import SigningRealm
from bench.server import Server, Subject
from bench.tests.outcomes import case
from starpost.testing.launched import is_running
from starpost_dev.services.ephemeral import ephemeral_valkey

ROOT = Path.cwd()

# A server that every machine has, in the place of another project's.
FILES = Peer(
    name="files",
    folder="fastapi",
    program=sys.executable,
    build=((sys.executable, "-c", "open('built', 'a').write('.')"),),
    start=(sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "{port}"),
)


@pytest.fixture(autouse=True)
def _cache(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if "built" not in request.fixturenames:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


FRAMES: dict[Subject, MakeFrames] = {FASTAPI: trivial, SOCKET_IO: socket_io_event, CENTRIFUGO: centrifugo_rpc}


@pytest.fixture(params=FRAMES, ids=lambda subject: subject.name)
def built(request: pytest.FixtureRequest) -> Subject:
    """A peer that was built before: the tests fetch nothing."""
    subject: Subject = request.param
    assert subject.peer is not None
    if not subject.peer.home.is_dir():
        pytest.skip(f"{subject.name} is not built; `make bench CASES=peers` does it")
    return subject


def test_a_peer_is_built_once_from_its_sources() -> None:
    peer, again = replace(FILES), replace(FILES)
    assert not peer.home.exists()
    peer.prepare()
    again.prepare()
    assert (peer.home / "built").read_text() == "."
    assert (peer.home / "requirements.txt").is_file()
    assert [path.name for path in peer.home.parent.iterdir() if path.is_dir()] == [peer.home.name]


def test_a_build_that_fails_leaves_the_peer_out_and_nothing_behind(capfd: pytest.CaptureFixture[str]) -> None:
    peer = replace(FILES, build=((sys.executable, "-c", "raise SystemExit('no route to host')"),))
    with pytest.raises(LeftOutError, match="failed"):
        peer.prepare()
    assert "no route to host" in capfd.readouterr().err
    assert not [path for path in peer.home.parent.iterdir() if path.is_dir()]


def test_a_case_without_its_peer_says_why() -> None:
    missing = replace(FILES, name="Peer 7", program="no-such-program")
    with_peer = replace(case("other"), theirs=Subject("Peer 7", peer=missing))
    kept, skipped = prepared([case(), with_peer])
    assert kept.skipped is None
    assert skipped.skipped == "Peer 7 is left out: there is no `no-such-program`"


def test_the_cases_beside_peers_are_a_group() -> None:
    found = chosen("peers")
    assert found
    assert all(each.theirs.peer is not None for each in found)
    assert len(found) < len(CASES)


STARTER = """
import sys, time
from pathlib import Path
from bench.server import Server, Subject
from bench.tests.test_peers import FILES

FILES.prepare()
with Server(Subject("files", peer=FILES), {}, None, Path(sys.argv[1])) as server:
    print(server._process.pid, *server._workers(), flush=True)
    time.sleep(60)
"""


def test_a_peer_tells_its_cost_and_ends_when_the_bench_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STARTER, str(tmp_path / "log")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as bench:
        assert bench.stdout is not None
        started = [int(pid) for pid in bench.stdout.readline().split()]
        assert len(started) == 2
        assert all(map(is_running, started))
        os.kill(bench.pid, signal.SIGKILL)
    deadline = time.monotonic() + 100
    while any(map(is_running, started)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_running, started))


async def test_the_loads_speak_the_protocol_of_a_peer(built: Subject, tmp_path: Path) -> None:
    with ephemeral_valkey() as valkey, SigningRealm() as realm:
        environ = {**valkey.endpoint.environment(), "KEYCLOAK_BASE_URL": realm.base_url}
        token, frames = realm.token("alice"), FRAMES[built]
        with Server(built, environ, None, tmp_path / "log") as server:
            seen = await sockets.saturate(server, token, frames, connections=2, seconds=0.1)
            assert seen.rate > 0
            assert server.cpu_seconds() > 0
            assert server.memory_bytes() > 1_000_000
            if built is CENTRIFUGO:
                await handshakes.storm(server, [token] * 20, frames(0))
                with pytest.raises(LoadError, match="no connection"):
                    await sockets.saturate(server, "no token", frames, connections=1, seconds=0.1)
                subscription = centrifugo_subscription("bench")
                for ten in (
                    Announcement([centrifugo_publication("bench", EVENT)] * 10, 10),
                    Announcement([], 10, centrifugo_batch("bench", EVENT, 10)),
                ):
                    delivered, _ = await sockets.fan_out(server, token, ten, subscription, subscribers=3, seconds=0.1)
                    assert delivered.rate > 0
