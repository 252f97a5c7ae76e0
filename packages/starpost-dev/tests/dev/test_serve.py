"""`make serve`: its steps, its signals, its sentences. The application is a double; services and processes are real."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from starpost_dev.commands.serve import ServeError, free_address, second_port
from starpost_dev.services.ports import free_port, is_free
from starpost_dev.services.processes import send
from tests.dev.checkouts import PATIENCE, Checkout, clean_environment, finish, is_running, wait_for

# One server less to start where a test is not about them.
ONLY_VALKEY = {"DB_HOST": "db.example", "KEYCLOAK_BASE_URL": "https://id.example"}


@pytest.fixture
def port() -> int:
    return free_port()


def serve(checkout: Checkout, port: int, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    return checkout.start("-m", "scripts.serve", *arguments, PORT=str(port), **environment)


def read_until(process: subprocess.Popen[str], words: str) -> str:
    assert process.stdout is not None
    text = ""
    while words not in text:
        line = process.stdout.readline()
        assert line, f"it ended after {text!r}: {finish(process)}"
        text += line
    return text


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


def test_it_prepares_the_database_and_serves(checkout: Checkout, port: int) -> None:
    process = serve(checkout, port)
    said = read_until(process, "make -s token")
    assert f"http://127.0.0.1:{port}/" in said
    (sockets,) = re.findall(r"sockets: ws://127\.0\.0\.1:(\d+)/web", said)
    assert ".dev/" in said
    assert answers(port)
    pids = checkout.record()
    assert {"postgres", "valkey", "identity"} < set(pids)
    status, _, errors = finish(process, signal.SIGTERM)
    assert (status, errors) == (0, "")
    assert [event["event"] for event in checkout.events] == ["migrate", "seed", "app", "stop"]
    assert not any(is_running(pids[name]) for name in ("postgres", "valkey", "identity"))
    environment = checkout.events[2]["environment"]
    expected = {"HOST": "127.0.0.1", "PORT": str(port), "WS_PORT": sockets, "WORKERS": "1", "RELOAD": "1"}
    assert expected.items() <= environment.items()
    assert environment["KEYCLOAK_BASE_URL"].startswith("http://127.0.0.1:")


def test_options_come_from_the_environment_and_the_file(checkout: Checkout, port: int) -> None:
    (checkout.path / ".env").write_text("WORKERS=3\nRELOAD=1\nDRAIN_SPREAD=4\n")
    process = serve(checkout, port, "--host", "localhost", **ONLY_VALKEY, RELOAD="0", HOST="my-machine")
    read_until(process, f"http://localhost:{port}/")
    finish(process, signal.SIGTERM)
    environment = checkout.events[2]["environment"]
    expected = {"HOST": "localhost", "WORKERS": "3", "RELOAD": "0", "DRAIN_SPREAD": "4", "DB_HOST": "db.example"}
    assert expected.items() <= environment.items()
    assert "DB_PORT" not in environment


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP], ids=lambda it: it.name)
def test_a_signal_stops_it_quietly(checkout: Checkout, port: int, number: signal.Signals) -> None:
    process = serve(checkout, port, **ONLY_VALKEY)
    read_until(process, "make -s token")
    status, _, errors = finish(process, number)
    assert (status, errors) == (0, "")
    # Once, whichever signal it was.
    assert [event["event"] for event in checkout.events].count("stop") == 1
    assert not answers(port)


def test_a_signal_before_the_application_runs_stops_it_quietly(checkout: Checkout, port: int) -> None:
    process = serve(checkout, port, **ONLY_VALKEY, MIGRATE_SECONDS="100")
    assert wait_for((checkout.state / "supervisor.json").exists)
    status, _, errors = finish(process, signal.SIGINT)
    assert (status, errors) == (0, "")
    assert "app" not in [event["event"] for event in checkout.events]


def test_a_third_signal_does_not_wait(checkout: Checkout, port: int) -> None:
    process = serve(checkout, port, **ONLY_VALKEY, APP_IGNORES_SIGTERM="1")
    read_until(process, "make -s token")
    for asked in (1, 2):
        process.send_signal(signal.SIGINT)
        assert wait_for(lambda: [event["event"] for event in checkout.events].count("stop") == asked)  # noqa: B023
    status, _, errors = finish(process, signal.SIGINT)
    assert (status, errors) == (0, "")
    assert is_free(port)


def test_two_share_the_services_whichever_ends_first(checkout: Checkout, port: int) -> None:
    first = serve(checkout, port, **ONLY_VALKEY)
    read_until(first, "make -s token")
    other_port = free_port()
    second = serve(checkout, other_port, **ONLY_VALKEY)
    read_until(second, "make -s token")
    pids = checkout.record()
    used = {event["environment"]["REDIS_PORT"] for event in checkout.events if event["event"] == "app"}
    assert len(used) == 1
    finish(first, signal.SIGKILL)
    assert wait_for(lambda: not answers(port))
    assert answers(other_port)
    assert is_running(pids["valkey"])
    finish(second, signal.SIGTERM)
    assert not is_running(pids["valkey"])


def test_a_port_that_is_taken_is_said_before_anything_starts(checkout: Checkout, port: int) -> None:
    with socket.create_server(("127.0.0.1", port)):
        status, output, errors = finish(serve(checkout, port))
    assert (status, output) == (1, "")
    assert errors == (
        f"Port {port} of 127.0.0.1 cannot be used (Address already in use): "
        f"stop what listens there, or choose another: make serve PORT={port + 1}\n"
    )
    assert not checkout.state.exists()


@pytest.mark.parametrize("written", ["http", "0", "65536", "-1", "80.5", "٣"])
def test_a_port_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv("PORT", written)
    with pytest.raises(ServeError, match=rf"^PORT is a number from 1 to 65535, not '{written}'\.$"):
        free_address("")


def test_sockets_have_a_port_beside_it_or_a_free_one(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    monkeypatch.delenv("WS_PORT", raising=False)
    with socket.create_server(("127.0.0.1", port)):
        chosen = second_port("127.0.0.1", port - 100)
        assert chosen not in (0, port)
        assert is_free(chosen)
    assert second_port("127.0.0.1", port - 100) == port
    assert second_port("127.0.0.1", 65535) < 65536


def test_a_port_for_sockets_that_is_set_is_that_one_or_none(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    monkeypatch.setenv("WS_PORT", "0")
    assert second_port("127.0.0.1", 8000) == 0
    monkeypatch.setenv("WS_PORT", str(port))
    assert second_port("127.0.0.1", 8000) == port
    with socket.create_server(("127.0.0.1", port)), pytest.raises(ServeError, match=f"Port {port} of 127.0.0.1"):
        second_port("127.0.0.1", 8000)


@pytest.mark.parametrize("written", ["ws", "65536", "-1", "٣"])
def test_a_port_for_sockets_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv("WS_PORT", written)
    with pytest.raises(ServeError, match=rf"^WS_PORT is a number from 0 \(none\) to 65535, not '{written}'\.$"):
        second_port("127.0.0.1", 8000)


def test_a_host_that_is_none_of_ours_is_refused() -> None:
    with pytest.raises(ServeError, match=r"of 192\.0\.2\.1 cannot be used \(Cannot assign requested address\)"):
        free_address("192.0.2.1")


def test_nothing_is_left_when_it_is_killed(checkout: Checkout, port: int) -> None:
    process = serve(checkout, port, **ONLY_VALKEY)
    read_until(process, "make -s token")
    finish(process, signal.SIGKILL)
    assert wait_for(lambda: not checkout.processes())
    # The application was asked first.
    assert checkout.events[-1]["event"] == "stop"
    assert is_free(port)


def test_nothing_is_left_when_make_is_killed(checkout: Checkout, port: int) -> None:
    # What `make` is to the script: a parent that can end without a word.
    code = (
        "import subprocess, sys\n"
        "sys.exit(subprocess.call([sys.executable, '-m', 'scripts.serve', '--end-with-parent']))"
    )
    parent = checkout.start("-c", code, PORT=str(port), **ONLY_VALKEY)
    read_until(parent, "make -s token")
    send(parent.pid, signal.SIGKILL)
    assert wait_for(lambda: not checkout.processes())
    finish(parent)
    assert is_free(port)


def test_a_step_that_fails_ends_it_with_its_status(checkout: Checkout, port: int) -> None:
    status, _, errors = finish(serve(checkout, port, **ONLY_VALKEY, MIGRATE_STATUS="3"))
    assert status == 3
    assert errors == "The migration of the database failed (python -m scripts.migrate: exit status 3).\n"
    assert [event["event"] for event in checkout.events] == ["migrate"]


def test_the_applications_status_is_passed_on(checkout: Checkout, port: int) -> None:
    process = serve(checkout, port, **ONLY_VALKEY, APP_STATUS="7")
    read_until(process, "make -s token")
    send(checkout.events[-1]["pid"], signal.SIGTERM)
    assert finish(process)[0] == 7


def test_services_that_are_killed_come_back_under_the_running_application(checkout: Checkout, port: int) -> None:
    process = serve(checkout, port, **ONLY_VALKEY)
    read_until(process, "make -s token")
    before = checkout.record()
    send(before["supervisor"], signal.SIGKILL)
    assert process.stderr is not None
    assert "starting them again" in process.stderr.readline()
    assert wait_for(lambda: (checkout.state / "supervisor.json").exists() and checkout.record() != before)
    valkey_port = int(checkout.events[-1]["environment"]["REDIS_PORT"])
    assert wait_for(lambda: answers(valkey_port))
    assert answers(port)
    assert finish(process, signal.SIGTERM)[0] == 0


def test_ctrl_c_in_a_terminal_is_silent_under_make(checkout: Checkout, port: int) -> None:
    with _make_in_terminal(checkout, port) as (make, terminal):
        os.write(terminal, b"\x03")
        after = _read_terminal(terminal, None)
        make.wait(PATIENCE)
    assert "make" not in after
    assert "Traceback" not in after
    environment = checkout.events[2]["environment"]
    expected = {"HOST": "localhost", "PORT": str(port), "WORKERS": "2", "RELOAD": "0"}
    assert expected.items() <= environment.items()


def test_a_terminal_that_is_closed_ends_it(checkout: Checkout, port: int) -> None:
    with _make_in_terminal(checkout, port) as (make, _):
        pass
    make.wait(PATIENCE)
    assert wait_for(lambda: not checkout.processes())
    assert checkout.events[-1]["event"] == "stop"


@contextmanager
def _make_in_terminal(checkout: Checkout, port: int) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run `make serve` as the leader of a terminal's session; close the terminal afterwards."""
    # An environment that `make` finds up to date: it must not install anything for this.
    for name in ("requirements/dev.lock", "venv/.stamp"):
        (checkout.path / name).parent.mkdir()
        (checkout.path / name).touch()
    options = [f"PORT={port}", "HOST=localhost", "WORKERS=2", "RELOAD=0"]
    terminal, inside = pty.openpty()
    make = subprocess.Popen(
        ["/usr/bin/env", "make", "serve", *options, "VENV=venv", f"PY={sys.executable}", f"UV={sys.executable}"],
        cwd=checkout.path,
        env={**clean_environment(), **ONLY_VALKEY, "HOST": "my-machine"},
        stdin=inside,
        stdout=inside,
        stderr=inside,
        preexec_fn=lambda: _take_terminal(inside),  # noqa: PLW1509 - no other thread forks meanwhile
    )
    os.close(inside)
    try:
        before = _read_terminal(terminal, "make -s token")
        assert "make: " not in before
        yield make, terminal
    finally:
        os.close(terminal)


def _take_terminal(terminal: int) -> None:
    os.setsid()
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)


def _read_terminal(terminal: int, until: str | None) -> str:
    """Read what is shown until a text comes, or the terminal closes."""
    shown = ""
    while until is None or until not in shown:
        readable, _, _ = select.select([terminal], [], [], PATIENCE)
        assert readable, shown
        try:
            part = os.read(terminal, 4096).decode()
        except OSError:
            # Linux answers a terminal that nobody has open any more with EIO.
            part = ""
        if not part:
            return shown
        shown += part
    return shown
