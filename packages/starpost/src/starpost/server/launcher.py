"""Launcher: the main process, which runs Granian with our options and drains the workers before it stops.

Granian stops a worker by dropping its sockets, without a close frame. So the launcher takes the signals first: it asks
every worker to drain, waits for their reports or the time limit, then lets Granian stop (ADR 0007).
"""

import importlib.util
import multiprocessing
import os
import resource
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from typing import Any, Final

import structlog
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer, WorkerProcess

from starpost.observability.logs import configure_logs, stdlib_config
from starpost.observability.peers import DIRECTORY_VARIABLE
from starpost.server.cores import CoresError, check_cores, core_of
from starpost.server.drain import drain_limit
from starpost.server.port import PICOWS_MISSING, PortError, reserve_port
from starpost.server.reports import Phase, WorkerReports
from starpost.server.respawns import Respawns
from starpost.server.worker import WorkerStart
from starpost.settings import Settings, SettingsError

HTTP_HEADROOM: Final = 1024
"""HTTP connections, idle ones included, that a worker accepts in addition to its sockets. Beyond that, Granian accepts
no connection, not even a health check, until one ends."""

IDLE_TIMEOUT: Final = 75_000
"""Milliseconds in which the headers of the next request must arrive; an idle connection is closed after them. Proxies
keep idle connections for 60 s (nginx, load balancers). If we closed first, their next request could be lost."""

BACKLOG: Final = 2048
"""Connections that wait in the kernel to be accepted. After a restart all clients return at once; a client that finds
the queue full tries again after a second or more."""

KILL_TIMEOUT: Final = 10
"""Seconds for a worker's shutdown (pools, broker) after the drain; Granian kills it afterwards."""

SPARE_FILES: Final = 512
"""Files that a worker opens in addition to its sockets: pools, logs, modules."""

HANDSHAKES: Final = 2048
"""Connections to ``WS_PORT`` of a worker whose handshake has yet to come."""

TICK: Final = 0.05
"""Seconds between two checks of the workers, for changes that no report announces."""

log = structlog.get_logger(__name__)


class DrainingServer(MPServer):
    """Granian's server, which drains before it stops, and goes on when workers die.

    Args:
        reports: Reports of the workers.
        drain_limit: Seconds that a drain may take.
        cores: Cores that the workers are bound to, in turn; none: they are not bound.
        options: Granian's own.
    """

    def __init__(self, *, reports: WorkerReports, drain_limit: float, cores: Sequence[int], **options: Any) -> None:
        super().__init__(**options)
        self._reports = reports
        self._drain_limit = drain_limit
        self._cores = cores
        self._respawns = Respawns(self.workers)
        self._stop_signals = 0
        self._has_started = False
        self._has_failed = False

    def signal_handler_interrupt(self, *_: Any, **__: Any) -> None:
        """First signal: drain, then stop. Second: stop now. Third: kill the workers."""
        self._stop_signals += 1
        if self._stop_signals == 1:
            threading.Thread(target=self._drain, name="drain", daemon=True).start()
        elif self._stop_signals == 2:
            self._stop_now()
        else:
            for worker in list(self.wrks):
                worker.inner.kill()

    def watch_file(self, path: Path) -> None:
        """Replace the workers when this file changes (development).

        We watch its folder, not the file: an editor replaces the file, and a watch on the old one sees no change.
        Granian could watch the folder only with everything below it.
        """
        threading.Thread(target=self._watch_file, args=(path.resolve(),), name="watch-file", daemon=True).start()

    def _watch_file(self, path: Path) -> None:
        import watchfiles  # noqa: PLC0415 - a development dependency

        for _ in watchfiles.watch(
            path.parent, recursive=False, watch_filter=lambda _, changed: Path(changed).name == path.name
        ):
            super().signal_handler_reload()  # type: ignore[no-untyped-call]

    def _stop_now(self) -> None:
        super().signal_handler_interrupt()  # type: ignore[no-untyped-call]

    def signal_handler_reload(self, *args: Any, **kwargs: Any) -> None:
        """Stop on SIGHUP too, since a closed terminal sends it and must leave no process behind.

        Granian would replace the workers.
        """
        self.signal_handler_interrupt(*args, **kwargs)

    def watch_start(self, address: tuple[str, int]) -> None:
        """Wait in a thread until every worker is up, then log it.

        Before that, a worker that ends without having been ready means that the set-up is wrong, and the launcher ends
        too instead of trying again.
        """
        threading.Thread(target=self._watch_start, args=(address,), name="start", daemon=True).start()

    def _watch_start(self, address: tuple[str, int]) -> None:
        while not self._all_in(Phase.READY):
            self._reports.wait(TICK)
        # The lifespan's start completes some milliseconds before the worker listens.
        while not _answers(address):
            time.sleep(TICK)
        self._has_started = True
        self.reload_ignore_worker_failure = True
        log.info("listening", host=address[0], port=address[1], workers=self.workers, pid=os.getpid())

    def _all_in(self, phase: Phase) -> bool:
        workers = list(self.wrks)
        return len(workers) == self.workers and all(self._reports.of(worker.inner.pid) == phase for worker in workers)

    def _spawn_worker(  # type: ignore[override]  # as MPServer has it, and not its own base
        self, idx: int, target: Any, callback_loader: Callable[..., Any]
    ) -> WorkerProcess:
        """Make a worker, bound to the core of its place, which its successors get too."""
        start = partial(callback_loader, core_of(idx, self._cores))
        return super()._spawn_worker(idx, target, start)

    def _serve_loop(self, spawn_target: Callable[..., None], target_loader: Callable[..., Any]) -> None:
        """Wait for the stop, and restart workers that ended: Granian's loop with another rule.

        Granian treats a worker that dies within 5.5 s of its start as a crash loop, and stops the healthy ones with it.
        """
        while not self.interrupt_signal:
            # While draining, no worker is restarted.
            self.main_loop_interrupt.wait(None if self._stop_signals else self._respawns.next_in(time.monotonic()))
            self.main_loop_interrupt.clear()
            while self.interrupt_children:
                self._judge(self.wrks[self.interrupt_children.pop()])
            due = [] if self._stop_signals else self._respawns.take_due(time.monotonic())
            if due:
                self._respawn_workers(due, spawn_target, target_loader)

    def _judge(self, worker: WorkerProcess) -> None:
        """Decide what follows when a worker ends on its own: restart it later, or give up."""
        now = time.monotonic()
        pid = worker.inner.pid
        served = self._reports.of(pid) is not None
        self._reports.forget(pid)
        if self._stop_signals:
            return
        killed = (worker.inner.exitcode or 0) < 0
        delay = self._respawns.ended(worker.idx, served=served, killed=killed, lived=now - worker.birth, now=now)
        is_hopeless = self._respawns.is_exhausted and not any(other.inner.is_alive() for other in self.wrks)
        if is_hopeless or not (served or self._has_started):
            log.critical("no_worker_starts", pid=pid, exit_code=worker.inner.exitcode)
            self._has_failed = True
            self.signal_handler_interrupt()
            return
        log.warning("worker_ended", pid=pid, exit_code=worker.inner.exitcode, served=served, again_in=delay)

    def shutdown(self, exit_code: int = 0) -> None:
        """Stop the workers. The exit status is 1 if no worker could be started."""
        super().shutdown(exit_code or int(self._has_failed))  # type: ignore[no-untyped-call]

    def _drain(self) -> None:
        started = time.monotonic()
        asked: set[int] = set()
        log.info("draining", limit=self._drain_limit)
        while self._stop_signals == 1 and time.monotonic() - started < self._drain_limit:
            # Listed anew each time: a worker that was being replaced is asked as soon as it is up.
            busy = [worker for worker in list(self.wrks) if self._holds_clients(worker)]
            if not busy:
                break
            for worker in busy:
                self._ask(worker, asked)
            self._reports.wait(TICK)
        left = sum(self._holds_clients(worker) for worker in list(self.wrks))
        log.info("drained", seconds=round(time.monotonic() - started, 3), workers_left=left)
        if self._stop_signals == 1:
            self._stop_now()

    def _holds_clients(self, worker: WorkerProcess) -> bool:
        return bool(worker.inner.is_alive()) and self._reports.of(worker.inner.pid) == Phase.READY

    def _ask(self, worker: WorkerProcess, asked: set[int]) -> None:
        pid = worker.inner.pid
        if pid in asked:
            return
        asked.add(pid)
        # From here on we want it to end: without this, Granian would start a new worker in its place.
        worker.interrupt_by_parent = True
        try:
            os.kill(pid, signal.SIGUSR1)
        except ProcessLookupError:
            log.warning("worker_lost", pid=pid)


def main(settings: type[Settings], target: str) -> int:
    """Read the settings and serve; return the exit status of the process.

    Args:
        settings: Class of the application's settings.
        target: See ``launch``.
    """
    try:
        loaded = settings.load()
    except SettingsError as error:
        return _refuse(str(error))
    return launch(loaded, target)


def launch(settings: Settings, target: str) -> int:
    """Serve until a signal arrives.

    Args:
        settings: Settings of the installation.
        target: ``module:function``, called in each worker with a ``DrainSignal``; returns the ASGI application.

    Returns:
        The exit status: 0 after a clean stop, 1 if the application did not start or no worker could be restarted, 2 if
        the settings cannot be met: the port is taken, a core or a package is missing.
    """
    configure_logs(settings.log_level, settings.log_format)
    for accepted in settings.accepted_insecurities:
        log.warning("insecure_in_production", accepted=accepted)
    if settings.reload and importlib.util.find_spec("watchfiles") is None:
        return _refuse("RELOAD needs the package watchfiles, which `make install` installs")
    if settings.ws_port and importlib.util.find_spec("picows") is None:
        return _refuse(PICOWS_MISSING)
    try:
        check_cores(settings.worker_cores)
        reserved = reserve_port(settings.host, settings.port)
        second = reserve_port(settings.host, settings.ws_port) if settings.ws_port else nullcontext()
    except (CoresError, PortError) as error:
        return _refuse(str(error))
    # Not `fork`: a forked worker would inherit the launcher's imported modules (nothing to reload), its threads' locks,
    # and the writing end of the lifeline, which could then never read as closed. macOS spawns by default, too.
    multiprocessing.set_start_method("spawn", force=True)
    with reserved, second, tempfile.TemporaryDirectory(prefix="workers-") as directory:
        # The workers' sockets are here: a worker that is asked for metrics answers for all of them.
        os.environ[DIRECTORY_VARIABLE] = directory
        address = reserved.getsockname()[:2]
        # With PORT=0 the workers would not know it: pages are of this port, and documents name it.
        os.environ["PORT"] = str(address[1])
        return _serve(settings, target, address)


def _serve(settings: Settings, target: str, address: tuple[str, int]) -> int:
    report_reader, report_writer = multiprocessing.Pipe(duplex=False)
    # Nobody writes to `_held`. The kernel closes it however this process ends, and the workers wait for that.
    lifeline, _held = multiprocessing.Pipe(duplex=False)
    connections = settings.ws_max_connections + HTTP_HEADROOM
    _raise_file_limit(connections + SPARE_FILES + (HANDSHAKES if settings.ws_port else 0))
    server = DrainingServer(
        reports=WorkerReports(report_reader),
        # A worker spreads its closes over DRAIN_SPREAD, and gives running packets DRAIN_TIMEOUT. It keeps these limits
        # itself. The launcher's limit is for a worker that hangs, and must not cut off one that is just in time.
        drain_limit=drain_limit(timeout=settings.drain_timeout, spread=settings.drain_spread),
        cores=settings.worker_cores,
        target=target,
        address=settings.host,
        port=address[1],
        workers=settings.workers,
        interface=Interfaces.ASGI,
        loop=Loops.uvloop,
        # WebSockets speak HTTP/1.1; TLS and HTTP/2 end at the proxy in front.
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(
            header_read_timeout=IDLE_TIMEOUT,
            # Room for headers with a large token. Granian's default would let each client fill 400 KiB.
            max_buffer_size=65_536,
        ),
        websockets=True,
        backlog=BACKLOG,
        # Counts HTTP connections, idle ones too. Measured with 2.8.7: a socket counts until its upgrade is done, and
        # all may come at once. With the default, backlog / workers, later clients wait until idle connections end.
        backpressure=connections,
        # `_watch_start` turns it on when all workers have been up once.
        reload_ignore_worker_failure=False,
        workers_kill_timeout=KILL_TIMEOUT,
        # Our middleware writes the access log. Granian's would write the query, and a token with it.
        log_access=False,
        log_level=LogLevels.debug if settings.log_level == "DEBUG" else LogLevels.warning,
        log_dictconfig=stdlib_config(settings.log_level, settings.log_format),
        reload=settings.reload,
        # Not the whole checkout, where caches change all the time.
        reload_paths=[Path(target.partition(":")[0].partition(".")[0]).resolve()],
        # No pause between starting a new worker and stopping the old one: after a change, only the new one is wanted.
        respawn_interval=0,
    )
    start = WorkerStart(
        target,
        report_writer,
        lifeline,
        log_level=settings.log_level,
        log_format=settings.log_format,
        sets_collector=settings.fast_paths,
    )
    server.on_startup(lambda: server.watch_start(address))
    if settings.reload:
        server.on_startup(lambda: server.watch_file(Path(settings.actions_file_path)))
    return _exit_status(lambda: server.serve(target_loader=start, wrap_loader=False))


def _exit_status(serve: Callable[[], None]) -> int:
    try:
        serve()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0


def _refuse(reason: str) -> int:
    sys.stderr.write(f"{reason}\n")
    return 2


def _answers(address: tuple[str, int]) -> bool:
    try:
        with socket.create_connection((_reachable(address[0]), address[1]), timeout=1):
            return True
    except OSError:
        return False


def _reachable(host: str) -> str:
    """Return an address to connect to: loopback in place of "all interfaces"."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if not address.is_unspecified:
        return host
    return "127.0.0.1" if isinstance(address, IPv4Address) else "::1"


def _raise_file_limit(wanted: int) -> None:
    """Raise the soft limit of open files, usually 1,024, as every socket is a file. The workers inherit the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        if allowed < wanted:
            log.warning(
                "few_files", wanted=wanted, allowed=allowed, hint="raise `ulimit -Hn` or lower WS_MAX_CONNECTIONS"
            )
