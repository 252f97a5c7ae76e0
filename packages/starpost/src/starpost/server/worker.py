"""Start of a worker process: logs, signals, the watch over the launcher, then the application."""

import asyncio
import importlib
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any, Final

import structlog

from starpost.errors import StartError
from starpost.observability.logs import LogFormat, LogLevel, configure_logs
from starpost.observability.peers import DIRECTORY_VARIABLE
from starpost.server.collector import settle, suspend
from starpost.server.cores import bind
from starpost.server.drain import DrainSignal
from starpost.server.reports import Reporter
from starpost.server.signals import MissedSignals
from starpost.settings import SettingsError

ORPHAN_GRACE: Final = 5.0
"""Seconds that a worker without a launcher has to stop by itself. The next launcher may need its port."""

log = structlog.get_logger(__name__)


class WorkerStart:
    """Granian's ``target_loader``: makes the application in the worker. Granian pickles it into the new process.

    Args:
        target: ``module:function``; the function takes the ``DrainSignal`` and returns an ASGI application.
        reports: Writing end of the pipe for reports.
        lifeline: Reading end of a pipe to which only the launcher could write, and never does. It reads as closed
            when the launcher has ended, in whatever way.
        log_level: The least severe level that is logged.
        log_format: Form of the lines.
        sets_collector: Configure the garbage collector for a server, instead of Python's defaults.
    """

    def __init__(
        self,
        target: str,
        reports: Connection,
        lifeline: Connection,
        *,
        log_level: LogLevel,
        log_format: LogFormat,
        sets_collector: bool,
    ) -> None:
        self._target = target
        self._reports = reports
        self._lifeline = lifeline
        self._log_level: LogLevel = log_level
        self._log_format: LogFormat = log_format
        self._sets_collector = sets_collector

    def __call__(self, core: int | None = None) -> Any:
        """Prepare the process and return the application.

        Args:
            core: Core that the process is bound to.

        Raises:
            SystemExit: The application could not be made; the reason is in the log.
        """
        if core is not None:
            # First of all: threads that were there before would stay where they are.
            bind(core)
        # The launcher handles a closed terminal (SIGHUP) and Ctrl-C (SIGINT). SIGUSR1 is ignored until the application
        # listens for it.
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGUSR1):
            signal.signal(number, signal.SIG_IGN)
        threading.Thread(target=_end_with, args=(self._lifeline,), name="lifeline", daemon=True).start()
        configure_logs(self._log_level, self._log_format)
        drain = DrainSignal(Reporter(self._reports))
        missed = MissedSignals()
        if self._sets_collector:
            suspend()
        try:
            module, _, function = self._target.partition(":")
            app = getattr(importlib.import_module(module), function)(drain)
            explained = ExplainedStart(app, lambda: _listen(missed), sets_collector=self._sets_collector)
            return DrainedApplication(explained, drain)
        except Exception as error:  # noqa: BLE001 - logged, and the process ends
            _explain(error)
        sys.exit(1)


class DrainedApplication:
    """ASGI wrapper that, once the drain has begun, accepts no socket that would be dropped without a close frame.

    Args:
        app: The application.
        drain: Drain signal of this worker.
    """

    def __init__(self, app: Any, drain: DrainSignal) -> None:
        self._app = app
        self._drain = drain

    def __call__(self, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        """Handle one connection, as the ASGI specification says."""
        if scope["type"] == "websocket" and self._drain.is_requested:
            return self._end_socket(scope, receive, send)
        return self._app(scope, receive, send)  # type: ignore[no-any-return]

    async def _end_socket(self, scope: Any, receive: Any, send: Any) -> None:
        if self._drain.is_done:
            # Closed before it is accepted: the client gets HTTP 403.
            await send({"type": "websocket.close"})
            return
        with self._drain.late_socket():
            await self._app(scope, receive, send)


class ExplainedStart:
    """ASGI wrapper around the lifespan: configures the garbage collector after the start, and logs why a start failed.

    The reason is one line. Litestar and Granian would each write a trace of exception groups around it.

    Args:
        app: The application.
        listen: Called when the loop runs for the first time, before the application's own lifespan.
        sets_collector: See ``WorkerStart``.
    """

    def __init__(self, app: Any, listen: Callable[[], None], *, sets_collector: bool = True) -> None:
        self._sets_collector = sets_collector
        self._app = app
        self._listen = listen

    def __call__(self, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        """Handle one connection, as the ASGI specification says."""
        if scope["type"] == "lifespan":
            return self._lifespan(scope, receive, send)
        # Returned, not awaited: it costs a request nothing.
        return self._app(scope, receive, send)  # type: ignore[no-any-return]

    async def _lifespan(self, scope: Any, receive: Any, send: Any) -> None:
        told: set[str] = set()
        self._listen()

        def sending(message: Any) -> Awaitable[None]:
            told.add(message["type"])
            if message["type"] == "lifespan.startup.failed":
                message = {"type": "lifespan.startup.failed", "message": ""}
            elif message["type"] == "lifespan.startup.complete" and self._sets_collector:
                settle()
            return send(message)  # type: ignore[no-any-return]

        try:
            await self._app(scope, receive, sending)
        except Exception as error:
            if "lifespan.startup.complete" in told:
                raise
            _explain(error)


def _listen(missed: MissedSignals) -> None:
    loop = asyncio.get_running_loop()
    # Ctrl-C on a terminal reaches every process of the group. Granian would drop the sockets of a worker at once, and
    # ignore the launcher's SIGTERM if the worker does not serve yet. The launcher gets Ctrl-C too, and drains first.
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    missed.repeat_in(loop)


def _explain(error: Exception) -> None:
    reasons = [*_leaves(error)]
    if all(isinstance(reason, StartError | SettingsError) for reason in reasons):
        log.critical("not_started", reason="\n".join(map(str, reasons)))
    else:
        log.critical("not_started", exc_info=error)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _leaves(part)
    else:
        yield error


def _end_with(lifeline: Connection) -> None:
    """End this process when the launcher has ended: nobody else would stop it, and it would keep the port."""
    try:
        lifeline.recv_bytes()
    except (EOFError, OSError):
        log.warning("launcher_gone", pid=os.getpid())
    # A launcher that was killed could not remove it.
    if directory := os.environ.get(DIRECTORY_VARIABLE):
        shutil.rmtree(directory, ignore_errors=True)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(ORPHAN_GRACE)
    os._exit(1)
