"""Exchange of metrics between the workers of one launcher.

The workers share a folder that only their user can enter. Each holds the lock file of a number there, which the kernel
releases however the process ends, and listens on the Unix socket of that number.
"""

import asyncio
import fcntl
import os
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Final

from starpost.observability.metrics import Metrics

DIRECTORY_VARIABLE: Final = "METRICS_PEERS_DIR"
"""Environment variable that the launcher sets for its workers."""

TIMEOUT: Final = 1.0
"""Time limit, in seconds, for a worker's answer. A worker that hangs is missing from the answer."""


class MetricsPeers:
    """Peers of one worker.

    Args:
        metrics: Metrics of this worker.
        directory: The shared folder; ``None`` if there are no other workers.
    """

    def __init__(self, metrics: Metrics, directory: Path | None) -> None:
        self._metrics = metrics
        self._directory = directory
        self._number = 0
        self._lock: int | None = None
        self._server: asyncio.Server | None = None

    @classmethod
    def of_launcher(cls, metrics: Metrics) -> "MetricsPeers":
        """Join the workers of the launcher that started this process, if one did."""
        directory = os.environ.get(DIRECTORY_VARIABLE)
        return cls(metrics, Path(directory) if directory else None)

    async def open(self) -> None:
        """Take a number, and answer the others."""
        if self._directory is None:
            return
        self._number, self._lock = _take_number(self._directory)
        path = _socket(self._directory, self._number)
        # Left by a worker that was killed: we hold its lock, so it has ended.
        path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._answer, path)

    async def close(self) -> None:
        """Stop answering, and release the number."""
        if self._server is not None and self._directory is not None:
            self._server.close()
            _socket(self._directory, self._number).unlink(missing_ok=True)
        if self._lock is not None:
            os.close(self._lock)

    async def snapshots(self) -> dict[int, bytes]:
        """Return the snapshots of all workers that answer, by number."""
        found = {self._number: self._metrics.snapshot()}
        if self._directory is not None:
            others = [path for path in _sockets(self._directory) if path.stem != str(self._number)]
            answers = await asyncio.gather(*(_ask(path) for path in others))
            found |= {int(path.stem): answer for path, answer in zip(others, answers, strict=True) if answer}
        return dict(sorted(found.items()))

    async def _answer(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            writer.write(self._metrics.snapshot())
            await writer.drain()
        writer.close()


def _take_number(directory: Path) -> tuple[int, int]:
    """Return the lowest free number, and the descriptor that locks it."""
    for number in count():
        descriptor = os.open(directory / f"{number}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            continue
        return number, descriptor
    raise AssertionError("count() does not end")


def _socket(directory: Path, number: int) -> Path:
    return directory / f"{number}.sock"


def _sockets(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.sock"))


async def _ask(path: Path) -> bytes:
    """Return a worker's snapshot; empty if it does not answer."""
    try:
        async with asyncio.timeout(TIMEOUT):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                return await reader.read()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return b""
