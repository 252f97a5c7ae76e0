"""`make serve`: start the development services, bring the database up to date, serve the application.

`python -m scripts.serve [--host HOST] [--end-with-parent]`; PORT, WS_PORT, WORKERS, RELOAD and KEYCLOAK are taken from
the environment, or from `.env`. Migrating and seeding are scripts of the project. The exit status is that of the first
step that failed, 0 after Ctrl-C, 3 when `KEYCLOAK=real` cannot run here.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from starpost_dev.commands.logout_address import LogoutAddressError, set_logout_address
from starpost_dev.layout import REALM_FILE
from starpost_dev.project import Project
from starpost_dev.services.caller import Caller
from starpost_dev.services.client import Attachment, attach, chosen_identity, configured, external_services
from starpost_dev.services.errors import ServiceError
from starpost_dev.services.identity import DEVELOPMENT, REAL
from starpost_dev.services.ports import LOOPBACK, free_port, why_not_free
from starpost_dev.services.processes import StopSteps, send
from starpost_dev.services.watchdog import Watchdog

_DEFAULT_PORT = "8000"
# Not the next port: that is where a second `make serve` is started.
_WS_PORT_DISTANCE = 100
_STEPS = {
    "The migration of the database": "scripts.migrate",
    "Seeding the database": "scripts.seed",
}
_LOGOUT_PATH = "/auth/backchannel-logout"
_IDENTITY_TITLES = {DEVELOPMENT: "Realm       ", REAL: "Keycloak    "}
# Steps of the watchdog when this process is killed: the application drains first.
_STOP_STEPS: StopSteps = ((signal.SIGTERM, 15.0), (signal.SIGKILL, 2.0))
_TICK_SECONDS = 0.1


class ServeError(Exception):
    """The application cannot be served; the message is one sentence that says why."""


class Stopped(BaseException):
    """A signal asked to stop while no child process was running."""


class Runner:
    """Runner of one child process at a time, which forwards the stop signals to it.

    Args:
        watchdog: Ends the child if this process is killed.
        caller: The child is stopped when the caller has gone.
    """

    def __init__(self, watchdog: Watchdog, caller: Caller) -> None:
        self._watchdog = watchdog
        self._caller = caller
        self._child: subprocess.Popen[bytes] | None = None
        self._is_running = False
        self._stop_requests = 0

    @property
    def was_stopped(self) -> bool:
        """True if a signal, or the end of the caller, has asked to stop."""
        return self._stop_requests > 0

    def listen(self) -> None:
        """Install handlers for the signals that ask to stop."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def start(self, module: str, environment: Mapping[str, str]) -> None:
        """Start a Python module as the child.

        Raises:
            Stopped: A signal arrived earlier.
        """
        if self.was_stopped:
            raise Stopped
        # From here on a signal is counted and not raised: an exception now could lose the child that just started.
        self._is_running = True
        self._child = subprocess.Popen(
            [sys.executable, "-m", module],
            env=dict(environment),
            # In a process session of its own, so that Ctrl-C on a terminal reaches it only once, from here.
            start_new_session=True,
        )
        self._watchdog.watch(self._child.pid, _STOP_STEPS)
        self._pass_on()

    def wait(self, seconds: float | None = None) -> int | None:
        """Wait for the child's end.

        Args:
            seconds: Longest wait; None waits for ever.

        Returns:
            Its exit status, as a shell reports it; None while it runs.
        """
        if self._child is None:
            return None
        deadline = None if seconds is None else time.monotonic() + seconds
        while deadline is None or time.monotonic() < deadline:
            try:
                status = self._child.wait(_TICK_SECONDS)
            except subprocess.TimeoutExpired:
                if self._caller.is_gone and not self.was_stopped:
                    self.stop()
                continue
            self._watchdog.forget(self._child.pid)
            self._child = None
            self._is_running = False
            if self.was_stopped and status in (-signal.SIGTERM, -signal.SIGKILL):
                # The signal that we sent ended it: it did not handle signals yet, or took too long.
                return 0
            return status if status >= 0 else 128 - status
        return None

    def stop(self) -> None:
        """Ask the child to stop, if it runs."""
        self._stop_requests += 1
        self._pass_on()

    def _on_signal(self, *_: object) -> None:
        self._stop_requests += 1
        if not self._is_running:
            raise Stopped
        self._pass_on()

    def _pass_on(self) -> None:
        if self.was_stopped and self._child is not None and self._child.returncode is None:
            # SIGTERM for every signal, since SIGHUP makes many servers reload. At the second request the application
            # skips its drain, at the third we kill it.
            impatient = self._stop_requests > 2
            send(self._child.pid, signal.SIGKILL if impatient else signal.SIGTERM, group=impatient)


def main(project: Project) -> int:
    """Serve until a signal arrives, and return the exit status."""
    parser = argparse.ArgumentParser(prog="make serve")
    parser.add_argument("--host", default="", help="address to listen on; default: HOST of .env, else 127.0.0.1")
    parser.add_argument(
        "--end-with-parent", action="store_true", help="end when the process that started this one does"
    )
    options = parser.parse_args()
    with Watchdog() as watchdog:
        runner = Runner(watchdog, Caller(with_parent=options.end_with_parent))
        runner.listen()
        try:
            host, port = free_address(options.host)
            ws_port = second_port(host, port)
            _say_what_takes_long()
            with attach() as services:
                return _serve(project, runner, services, host, port, ws_port)
        except ServeError as error:
            print(error, file=sys.stderr)
            return 1
        except ServiceError as error:
            print(error, file=sys.stderr)
            return error.exit_status
        except Stopped:
            return 0


def free_address(host: str) -> tuple[str, int]:
    """Return the address to listen on, which was free a moment ago.

    Args:
        host: From the command line; empty for the one of `.env`, or else the loopback address.

    Raises:
        ServeError: The address is taken, or invalid.
    """
    # HOST of the environment is ignored: it is often the machine's own name or a compiler's target.
    host = host or configured(Path.cwd(), {}).get("HOST") or LOOPBACK
    written = configured(Path.cwd(), os.environ).get("PORT") or _DEFAULT_PORT
    port = _number("PORT", written, "1")
    _refuse_if_taken(host, port, "", f"choose another: make serve PORT={port % 65535 + 1}")
    return host, port


def second_port(host: str, port: int) -> int:
    """Return the port for sockets alone: the one that is set, else the usual one for `port`, else a free one.

    Args:
        host: Address to listen on.
        port: The first port.

    Returns:
        The port; 0 if `WS_PORT` says so, or if picows, which listens there, is not installed.

    Raises:
        ServeError: The port that is set is taken, or invalid.
    """
    written = configured(Path.cwd(), os.environ).get("WS_PORT")
    if not written:
        if importlib.util.find_spec("picows") is None:
            return 0
        usual = port + _WS_PORT_DISTANCE
        return usual if usual < 65536 and why_not_free(host, usual) is None else free_port()
    chosen = _number("WS_PORT", written, "0 (none)")
    if chosen:
        _refuse_if_taken(host, chosen, " for sockets", "leave WS_PORT out, and a free one is taken.")
    return chosen


def _number(name: str, written: str, least: str) -> int:
    """Return the port that a setting names, from ``least``, a number with what it means."""
    first = int(least.partition(" ")[0])
    if not (written.isascii() and written.isdigit() and first <= int(written) < 65536):
        raise ServeError(f"{name} is a number from {least} to 65535, not {written!r}.")
    return int(written)


def _refuse_if_taken(host: str, port: int, purpose: str, otherwise: str) -> None:
    reason = why_not_free(host, port)
    if reason is not None:
        raise ServeError(
            f"Port {port} of {host} cannot be used{purpose} ({reason.strerror or reason}): "
            f"stop what listens there, or {otherwise}"
        )


def _serve(project: Project, runner: Runner, services: Attachment, host: str, port: int, ws_port: int) -> int:
    _say_services(services)
    environment = {**os.environ, **services.environment(), "HOST": host, "PORT": str(port), "WS_PORT": str(ws_port)}
    settings = configured(Path.cwd(), os.environ)
    # For development: reload on changes, and end at once on Ctrl-C, with no spread of reconnects.
    for name, default in (("RELOAD", "1"), ("WORKERS", "1"), ("DRAIN_SPREAD", "0")):
        environment[name] = settings.get(name) or default
    if services.endpoints.identity is not None:
        _set_logout_address({**project.sign_in_defaults, **settings, **services.environment()}, host, port)
    for step, module in _STEPS.items():
        runner.start(module, environment)
        status = runner.wait()
        if runner.was_stopped:
            return 0
        if status:
            print(f"{step} failed (python -m {module}: exit status {status}).", file=sys.stderr)
            return status
    runner.start(project.module, environment)
    status = _wait_until_it_answers(runner, host, port)
    if status is None:
        _say_address(host, port, ws_port)
        status = _watch(runner, services)
    return status


def _wait_until_it_answers(runner: Runner, host: str, port: int) -> int | None:
    """Return None when the application accepts connections, else its exit status."""
    while True:
        status = runner.wait(_TICK_SECONDS)
        if status is not None or runner.was_stopped:
            return status if status is not None else runner.wait()
        try:
            socket.create_connection((_reachable(host), port), timeout=1.0).close()
        except OSError:
            continue
        return None


def _watch(runner: Runner, services: Attachment) -> int:
    """Wait for the application's end. Start the services again if they end earlier."""
    while (status := runner.wait(1.0)) is None:
        if services.is_lost and not runner.was_stopped:
            before = services.environment()
            print("The development services have ended; starting them again.", file=sys.stderr)
            services.renew()
            if services.environment() != before:
                runner.stop()
                runner.wait()
                raise ServeError("The development services have other addresses now: start `make serve` again.")
    return status


def _reachable(host: str) -> str:
    """Return the address at which this machine reaches a listener on ``host``."""
    return {"0.0.0.0": LOOPBACK, "::": "::1"}.get(host, host)  # noqa: S104 - where the user said to listen


def _set_logout_address(variables: Mapping[str, str], host: str, port: int) -> None:
    url = f"http://{_in_url(_reachable(host))}:{port}{_LOGOUT_PATH}"
    try:
        set_logout_address(variables, url)
    except LogoutAddressError as error:
        # A warning is enough: everything else works without the logout address.
        print(f"Logouts at the realm will not reach the application at {url}: {error}", file=sys.stderr)


def _say_what_takes_long() -> None:
    if chosen_identity(Path.cwd(), os.environ) == REAL:
        print("  The real Keycloak takes a minute to start, more when it must be fetched first.", flush=True)


def _say_services(services: Attachment) -> None:
    endpoints = services.endpoints
    started = {
        "postgres": endpoints.postgres and f"PostgreSQL  {endpoints.postgres.host}:{endpoints.postgres.port}",
        "valkey": endpoints.valkey and f"Valkey      {endpoints.valkey.host}:{endpoints.valkey.port}",
        "identity": endpoints.identity and f"{_IDENTITY_TITLES[endpoints.identity.kind]}{endpoints.identity.base_url}",
    }
    for line in filter(None, started.values()):
        print(f"  {line}")
    for service, address in external_services(Path.cwd(), os.environ).items():
        print(f"  {service} is your own: {address}")
    if services.folder is not None:
        print(f"  Data        {_shown(services.folder)}")
    sys.stdout.flush()


def _say_address(host: str, port: int, ws_port: int) -> None:
    print(f"\n  open http://{_in_url(host)}:{port}/    end with Ctrl-C")
    if ws_port:
        print(f"  sockets: ws://{_in_url(host)}:{ws_port}/web; also at port {port}")
    print(f"  users: {', '.join(_users())}; the password is the name")
    print("  a token: make -s token USER=alice\n", flush=True)


def _users() -> Iterator[str]:
    """The users of the realm file who are people, with their roles."""
    for user in json.loads(REALM_FILE.read_bytes())["users"]:
        roles = [role for role in user.get("realmRoles", ()) if not role.startswith("default-roles-")]
        if user["enabled"] and "credentials" in user and "clientRoles" not in user:
            yield f"{user['username']} ({', '.join(roles) or 'no role'})"


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _shown(folder: Path) -> str:
    return f"{folder.relative_to(Path.cwd())}/" if folder.is_relative_to(Path.cwd()) else str(folder)
