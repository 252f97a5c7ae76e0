"""A server under test ends with the bench, however that ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from bench.server import Server, Subject
from bench.yardsticks import echo

ROOT = Path.cwd()

STARTER = f"""
import sys, time
from pathlib import Path
from bench.server import Server, Subject

with Server(Subject("echo", "{echo.__name__}:create"), {{}}, None, Path(sys.argv[1])) as server:
    print(server._process.pid, flush=True)
    time.sleep(600)
"""


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_server_ends_when_its_bench_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STARTER, str(tmp_path / "log")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as bench:
        assert bench.stdout is not None
        pid = int(bench.stdout.readline())
        assert is_running(pid)
        os.kill(bench.pid, signal.SIGKILL)
    deadline = time.monotonic() + 100
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(pid)


def test_a_server_tells_its_port_and_its_cost(tmp_path: Path) -> None:
    with Server(Subject("echo", f"{echo.__name__}:create"), {}, None, tmp_path / "log") as server:
        assert server.socket_url == f"ws://127.0.0.1:{server.port}/web"
        assert server.cpu_seconds() > 0
        assert server.memory_bytes() > 1_000_000
