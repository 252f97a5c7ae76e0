"""A real nginx in front of the nodes, unprivileged and with the configuration of ``docs/deployment.md``."""

import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from starpost.testing.launched import PATIENCE, until
from starpost_dev.services import ports

ROOT = Path.cwd()
DOCUMENT = ROOT / "docs" / "deployment.md"
# Debian has it where only root looks.
PROGRAM = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")

_AROUND = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{documented}
}}
"""


def documented_configuration(port: int, nodes: Sequence[int], sockets: Sequence[int]) -> str:
    """The documentation's example with these ports, in place of its own."""
    (example,) = re.findall(r"```nginx\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    upstreams = {"8000": iter(nodes), "8001": iter(sockets)}
    lines = []
    for line in example.splitlines():
        if (documented := re.match(r"\s*server [0-9.]+:(\d+)", line)) is not None:
            lines.append(re.sub(r"[0-9.]+:\d+", f"127.0.0.1:{next(upstreams[documented[1]])}", line))
        else:
            lines.append(re.sub(r"listen .*;", f"listen 127.0.0.1:{port};", line))
    assert {next(ports, None) for ports in upstreams.values()} == {None}, "the example has fewer nodes"
    return "\n".join(lines)


@contextmanager
def proxied(nodes: Sequence[int], sockets: Sequence[int]) -> Iterator[int]:
    """Run nginx before these ports, the second ones for sockets; its own port. Skips where there is no nginx."""
    if PROGRAM is None:
        pytest.skip("nginx is not installed (Debian: apt install nginx-light)")
    port = ports.free_port()
    folder = Path(tempfile.mkdtemp(prefix="nginx-"))
    try:
        configuration = folder / "nginx.conf"
        configuration.write_text(
            _AROUND.format(folder=folder, documented=documented_configuration(port, nodes, sockets))
        )
        account = {}
        if os.geteuid() == 0:
            shutil.chown(folder, "nobody")
            account = {"user": "nobody", "group": "nogroup", "extra_groups": []}
        process = subprocess.Popen(
            [PROGRAM, "-e", f"{folder}/error.log", "-p", str(folder), "-c", str(configuration)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **account,  # type: ignore[call-overload]
        )
        try:
            until(lambda: _answers(port) or process.poll() is not None, "nginx")
            assert process.poll() is None, (folder / "error.log").read_text()
            yield port
        finally:
            process.terminate()
            process.wait(PATIENCE)
    finally:
        shutil.rmtree(folder)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False
