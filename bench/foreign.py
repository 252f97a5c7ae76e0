"""``python -m bench.foreign PORT FOLDER COMMAND…``: run a peer in its folder until the standard input closes.

The launcher does the same for our own subjects: it stays on the cores of the bench's choice, tells when it listens, and
ends with the bench, however that ends.
"""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from typing import Final

from bench.cores import pin
from bench.serve import CORES_VARIABLE

STOP_SECONDS: Final = 10.0
"""Time limit for an orderly end."""


def main(port: int, folder: str, command: list[str]) -> int:
    """Run the command in the folder, and return its exit status."""
    cores = os.environ.get(CORES_VARIABLE, "")
    pin(frozenset(map(int, cores.split(","))) if cores else None)
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL) as peer:
        threading.Thread(target=_end_with_the_bench, args=(peer,), name="lifeline", daemon=True).start()
        while peer.poll() is None and not _listens(port):
            time.sleep(0.05)
        if peer.returncode is None:
            print(json.dumps({"event": "listening", "port": port}), flush=True)
        return peer.wait()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _end_with_the_bench(peer: "subprocess.Popen[bytes]") -> None:
    """End the peer when the bench, which holds the standard input open, ends or closes it."""
    sys.stdin.buffer.read()
    peer.terminate()
    try:
        peer.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        peer.kill()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
