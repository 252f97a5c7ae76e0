"""Supervisor: the detached process that owns a checkout's services.

`python -m starpost_dev.services.supervisor CHECKOUT` goes into the background, writes `ready` or the reason of its
failure to the standard output, and closes it. The supervisor starts services when a holder requests them, and ends with
the last holder. It waits for the first one until the standard input ends.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from starpost_dev.services.endpoints import Endpoints
from starpost_dev.services.errors import ServiceError
from starpost_dev.services.messages import READY, Reply, Request
from starpost_dev.services.services import Services
from starpost_dev.services.state import StateFolder, checkout_state
from starpost_dev.services.watchdog import Watchdog

_LOCK_SECONDS = 30.0
# Seconds between two checks of the servers, and before a server that ended at once is tried again.
_TICK_SECONDS = 0.5
_LONGEST_REQUEST = 4096
_LOG_BYTES = 1 << 20

_log = logging.getLogger("devservices")


class Supervisor:
    """Supervisor of a state folder's services, which runs for as long as a holder is connected.

    Args:
        services: The services.
        watchdog: Watchdog of the services.
        listener: The Unix socket, listening.
    """

    def __init__(self, services: Services, watchdog: Watchdog, listener: socket.socket) -> None:
        self._services = services
        self._watchdog = watchdog
        self._listener = listener
        self._selector = selectors.DefaultSelector()
        self._requests: dict[socket.socket, bytes] = {}
        self._last_holder: socket.socket | None = None
        self._is_stopping = False
        self._is_starter_gone = False

    def run(self) -> None:
        """Serve until the last holder has gone, or a signal asks to stop. Then stop the services."""
        # The signal handler only sets a flag; this pair ends the wait for events.
        woken, wake = socket.socketpair()
        wake.setblocking(False)
        signal.set_wakeup_fd(wake.fileno())
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(woken, selectors.EVENT_READ)
        self._selector.register(sys.stdin, selectors.EVENT_READ)
        self._write_record()
        try:
            while not self._is_stopping:
                for key, _ in self._selector.select(_TICK_SECONDS):
                    if key.fileobj is self._listener:
                        self._accept()
                    elif key.fileobj is sys.stdin:
                        # The starter connects before it closes the input, so its connection is known by now.
                        self._is_starter_gone = True
                        self._selector.unregister(sys.stdin)
                    elif isinstance(key.fileobj, socket.socket) and key.fileobj is not woken:
                        self._read(key.fileobj)
                if self._is_starter_gone and not self._requests:
                    break
                self._let_go()
                self._revive()
        finally:
            # The socket first: a holder that comes now is refused, and starts the next supervisor.
            self._services.state.socket.unlink(missing_ok=True)
            self._listener.close()
            self._services.stop()
            self._record.unlink(missing_ok=True)
            # Holders that wait for the end keep their connections, which the kernel closes with this process.
            _log.info("Stopped.")
            signal.set_wakeup_fd(-1)
            wake.close()
            woken.close()
            self._selector.close()

    def ask_to_stop(self, *_: object) -> None:
        """Stop soon; a signal handler."""
        self._is_stopping = True

    def _accept(self) -> None:
        holder, _ = self._listener.accept()
        # A request is one short line, so a sender that takes longer must not make the others wait.
        holder.settimeout(1.0)
        self._requests[holder] = b""
        self._selector.register(holder, selectors.EVENT_READ)

    def _read(self, holder: socket.socket) -> None:
        try:
            received = holder.recv(_LONGEST_REQUEST)
        except OSError:
            received = b""
        line = self._requests[holder] + received
        if not received or len(line) > _LONGEST_REQUEST:
            self._drop(holder)
        elif line.endswith(b"\n"):
            self._requests[holder] = b""
            self._answer(holder, line)
        else:
            self._requests[holder] = line

    def _answer(self, holder: socket.socket, line: bytes) -> None:
        try:
            request = Request.decode(line)
            self._services.start(request.services, request.identity)
            _log.info("Held for %s; processes %s.", ", ".join(request.services), self._services.processes)
            reply = Reply(self._services.endpoints)
        except (ServiceError, OSError, ValueError) as error:
            _log.exception("A holder's services do not run.")
            reply = Reply(Endpoints(), str(error))
        self._write_record()
        try:
            holder.sendall(reply.encode())
        except OSError:
            self._drop(holder)

    def _drop(self, holder: socket.socket) -> None:
        self._selector.unregister(holder)
        del self._requests[holder]
        if self._requests:
            holder.close()
        else:
            # The holder waits for the end of its connection, and so for the end of the services.
            self._let_go()
            self._last_holder = holder

    def _let_go(self) -> None:
        if self._last_holder is not None:
            self._last_holder.close()
            self._last_holder = None

    def _revive(self) -> None:
        if self._watchdog.revive():
            _log.warning("Started the watchdog again.")
            self._write_record()
        try:
            if ended := self._services.revive():
                _log.warning("Started again after they ended by themselves: %s.", ", ".join(ended))
                self._write_record()
        except ServiceError:
            _log.exception("A service has ended and does not start again.")

    @property
    def _record(self) -> Path:
        return self._services.state.path / "supervisor.json"

    def _write_record(self) -> None:
        """Write the process ids of the set to a file, for people who look for them."""
        record = {"supervisor": os.getpid(), "watchdog": self._watchdog.pid, **self._services.processes}
        half = self._record.with_name("supervisor.json.tmp")
        half.write_text(json.dumps(record) + "\n")
        half.replace(self._record)


@contextmanager
def _alone_in(state: StateFolder) -> Iterator[None]:
    """Lock the state folder. The kernel releases the lock with this process."""
    lock = state.open_lock("supervisor.lock")
    try:
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ServiceError(
                        f"Earlier development services in {state.path} have not ended within {_LOCK_SECONDS:.0f} s: "
                        "see supervisor.json there for their processes."
                    ) from None
                time.sleep(0.02)
        yield
    finally:
        os.close(lock)


def _redirect_output(state: StateFolder) -> None:
    """Close the caller's output, which the caller reads to its end, and write to a log instead."""
    log = state.path / "supervisor.log"
    if log.exists() and log.stat().st_size > _LOG_BYTES:
        log.replace(log.with_name(log.name + ".1"))
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    state.owner.take(log)
    for standard in (1, 2):
        os.dup2(output, standard)
    os.close(output)


def _supervise(state: StateFolder, checkout: Path) -> None:
    state.socket.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener, Watchdog() as watchdog:
        listener.bind(str(state.socket))
        listener.listen(64)
        print(READY, flush=True)
        _redirect_output(state)
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
        supervisor = Supervisor(Services(state, watchdog, checkout), watchdog, listener)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, supervisor.ask_to_stop)
        supervisor.run()


def main() -> int:
    """Become the supervisor of the checkout named on the command line."""
    checkout = Path(sys.argv[1])
    # Into the background: the caller's child ends here, and process 1 adopts the supervisor.
    if os.fork():
        return 0
    os.umask(0o077)
    try:
        state = checkout_state(checkout)
        with _alone_in(state):
            _supervise(state, checkout)
    except ServiceError as error:
        print(error, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
