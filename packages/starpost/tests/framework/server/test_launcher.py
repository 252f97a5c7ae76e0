"""The launcher, with real processes, signals and sockets."""

import asyncio
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from starpost.server.respawns import REFUSED_STARTS
from starpost.testing.launched import PATIENCE, Launched, is_running, until
from starpost.testing.plain_http import NO_TLS
from starpost_dev.services.ports import free_port
from tests.framework.server.hasty import HASTY
from tests.specimen import SPECIMEN

DRAINABLE = "tests.framework.server.drainable:create"


def ws_url(server: Launched) -> str:
    return f"ws://127.0.0.1:{server.port}/ws"


async def closed_with(url: str, count: int, then: Callable[[], object]) -> list[int | None]:
    """The close codes of that many sockets, closed by what ``then`` does."""
    return await codes_after([await connect(url) for _ in range(count)], then)


async def codes_after(sockets: list[ClientConnection], then: Callable[[], object]) -> list[int | None]:
    """The close codes of these sockets, closed by what ``then`` does."""
    then()

    async def code(ws: ClientConnection) -> int | None:
        try:
            await ws.recv()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None
        raise AssertionError("nothing is sent to this socket")

    return list(await asyncio.gather(*(code(ws) for ws in sockets)))


@pytest.mark.parametrize(
    ("number", "workers"), [(signal.SIGTERM, "1"), (signal.SIGTERM, "2"), (signal.SIGINT, "1"), (signal.SIGHUP, "1")]
)
async def test_every_socket_is_closed_by_the_application_before_granian_stops(
    tmp_path: Path, number: signal.Signals, workers: str
) -> None:
    with Launched(tmp_path, DRAINABLE, WORKERS=workers, SHUTDOWN_MARKS=str(tmp_path)) as server:
        pids = server.started().workers()
        codes = await closed_with(ws_url(server), 20, lambda: server.process.send_signal(number))
        assert codes == [1012] * 20
        assert server.ended() == 0
        assert not any(is_running(pid) for pid in pids)
    assert server.lines("drained")[0]["workers_left"] == 0
    # The lifespans ended in order, too.
    assert all((tmp_path / str(pid)).exists() for pid in pids)


async def test_ctrl_c_reaches_the_workers_too_and_still_drains(tmp_path: Path) -> None:
    with Launched(tmp_path, DRAINABLE, WORKERS="2") as server:
        server.started()
        codes = await closed_with(ws_url(server), 10, lambda: os.killpg(server.process.pid, signal.SIGINT))
        assert codes == [1012] * 10
        assert server.ended() == 0


async def test_a_socket_that_comes_last_is_closed_in_order_or_refused_and_never_dropped(tmp_path: Path) -> None:
    """Clients come back all the time, and a drained worker listens until Granian stops it."""
    with Launched(tmp_path, "tests.framework.server.drainable:turn_away", MARKS=str(tmp_path)) as server:
        server.started().process.terminate()
        await asyncio.to_thread(until, lambda: server.lines("draining"), "draining")
        late = await _first_of(server, ClientConnection)
        (tmp_path / "done").touch()
        refused = await _first_of(server, InvalidStatus)
        assert refused.response.status_code == 403
        assert await codes_after([late], (tmp_path / "close").touch) == [1012]
        assert server.ended() == 0


async def _first_of(server: Launched, outcome: type[Any]) -> Any:
    """Knock until this is the answer: a socket, or a refusal."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                answer: object = await connect(ws_url(server))
            except InvalidStatus as refusal:
                answer = refusal
            if isinstance(answer, outcome):
                return answer


def test_a_drain_that_never_ends_is_cut_at_the_limit(tmp_path: Path) -> None:
    with Launched(
        tmp_path, HASTY, TARGET=DRAINABLE, DRAIN_STUCK="1", DRAIN_TIMEOUT="0.3", DRAIN_SPREAD="0.2"
    ) as server:
        server.started().process.terminate()
        assert server.ended() == 0
    assert server.lines("drained")[0]["workers_left"] == 1


def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    with Launched(tmp_path, DRAINABLE, DRAIN_STUCK="1", DRAIN_TIMEOUT="3600") as server:
        server.started().process.terminate()
        until(lambda: server.lines("draining"), "draining")
        server.process.terminate()
        assert server.ended() == 0


def test_a_stop_during_the_start_is_clean(tmp_path: Path) -> None:
    with Launched(tmp_path, DRAINABLE) as server:
        pids = until(server.workers, "a worker process")
        server.process.terminate()
        assert server.ended() == 0
        assert not any(is_running(pid) for pid in pids)


@pytest.mark.parametrize("last", [signal.SIGUSR1, signal.SIGTERM])
def test_a_stop_between_the_start_and_serving_is_heard(tmp_path: Path, last: signal.Signals) -> None:
    """A first signal to the launcher becomes the worker's SIGUSR1, a second one its SIGTERM."""
    marks = {"MARKS": str(tmp_path), "SHUTDOWN_MARKS": str(tmp_path)}
    with Launched(tmp_path, "tests.framework.server.drainable:serve_late", DRAIN_TIMEOUT="3600", **marks) as server:
        until((tmp_path / "up").exists, "a worker between its start and serving")
        (pid,) = server.workers()
        server.process.terminate()
        until((tmp_path / "SIGUSR1").exists, "SIGUSR1")
        if last == signal.SIGTERM:
            server.process.terminate()
            until((tmp_path / "SIGTERM").exists, "SIGTERM")
        (tmp_path / "serve").touch()
        assert server.ended() == 0
    # It was not killed: its lifespan ended.
    assert (tmp_path / str(pid)).exists()


def test_ctrl_c_during_the_start_is_clean(tmp_path: Path) -> None:
    """It reaches launcher and worker at once; the worker leaves it to the launcher."""
    marks = {"MARKS": str(tmp_path), "SHUTDOWN_MARKS": str(tmp_path)}
    with Launched(tmp_path, "tests.framework.server.drainable:start_late", **marks) as server:
        until((tmp_path / "up").exists, "a worker in the start of its lifespan")
        (pid,) = server.workers()
        os.killpg(server.process.pid, signal.SIGINT)
        until(lambda: server.lines("drained"), "drained")
        (tmp_path / "serve").touch()
        assert server.ended() == 0
    assert (tmp_path / str(pid)).exists()


def test_a_dead_worker_is_replaced_and_does_not_hold_up_the_drain(tmp_path: Path) -> None:
    with Launched(tmp_path, DRAINABLE, WORKERS="2") as server:
        server.started()
        before = set(server.workers())
        with pytest.raises(httpx.HTTPError):
            server.post("/die")
        until(lambda: len(set(server.workers()) - before) == 1, "a new worker")
        server.process.terminate()
        assert server.ended() == 0


def test_a_worker_that_dies_while_draining_is_not_replaced(tmp_path: Path) -> None:
    with Launched(tmp_path, DRAINABLE, WORKERS="2", DRAIN_STUCK="1", DRAIN_TIMEOUT="3600") as server:
        server.started().process.terminate()
        until(lambda: server.lines("draining"), "draining")
        for pid in server.workers():
            os.kill(pid, signal.SIGKILL)
        assert server.ended() == 0
        assert server.workers() == []


def test_no_worker_outlives_a_killed_launcher(tmp_path: Path) -> None:
    with Launched(tmp_path, DRAINABLE, WORKERS="2") as server:
        pids = server.started().workers()
        assert len(pids) == 2
        server.process.kill()
        until(lambda: not any(is_running(pid) for pid in pids), "the workers' end")


async def test_workers_that_are_killed_again_and_again_come_back_and_the_healthy_one_keeps_its_sockets(
    tmp_path: Path,
) -> None:
    with Launched(tmp_path, HASTY, TARGET=DRAINABLE, WORKERS="2") as server:
        healthy, victim = server.started().workers()
        # `listening` is sure of one of them.
        until(lambda: {server.get("/pid").json() for _ in range(20)} == {healthy, victim}, "an answer of both")
        sockets = [await connect(f"{ws_url(server)}?pid") for _ in range(24)]
        kept = [ws for ws in sockets if int(await ws.recv()) == healthy]
        assert 0 < len(kept) < len(sockets)
        for _ in range(4):
            os.kill(victim, signal.SIGKILL)
            victim = await asyncio.to_thread(_successor, server, {healthy, victim})
        for ws in kept:
            await (await ws.ping())
        codes = await codes_after(kept, server.process.terminate)
        assert codes == [1012] * len(kept)
        assert server.ended() == 0
    ends = server.lines("worker_ended")
    assert [line["served"] for line in ends] == [True] * 4
    # At once, then with back-off.
    delays = [line["again_in"] for line in ends]
    assert delays == sorted(delays)
    assert delays[0] == 0 < delays[1] < delays[-1]


def _successor(server: Launched, before: set[int]) -> int:
    """Wait until a new worker answers; its process id."""

    def look() -> int | None:
        try:
            return next(iter({int(server.get("/pid").json()) for _ in range(10)} - before), None)
        except httpx.HTTPError:
            return None

    return int(until(look, "an answer of a new worker"))


def test_a_worker_that_does_not_start_again_is_tried_with_back_off_beside_the_healthy_one(tmp_path: Path) -> None:
    target = "tests.framework.server.drainable:create_while_allowed"
    refuse = tmp_path / "refuse"
    with Launched(tmp_path, HASTY, TARGET=target, WORKERS="2", MARKS=str(tmp_path)) as server:
        healthy, victim = server.started().workers()
        refuse.touch()
        os.kill(victim, signal.SIGKILL)
        until(lambda: len(server.lines("worker_ended")) >= 4, "three failed starts")
        delays = [line["again_in"] for line in server.lines("worker_ended")]
        assert delays == sorted(delays)
        assert server.get("/pid").json() == healthy
        refuse.unlink()
        _successor(server, {healthy, victim})
        server.process.terminate()
        assert server.ended() == 0


def test_the_launcher_ends_when_no_worker_can_be_started(tmp_path: Path) -> None:
    target = "tests.framework.server.drainable:create_while_allowed"
    with Launched(tmp_path, HASTY, TARGET=target, WORKERS="2", MARKS=str(tmp_path)) as server:
        pids = server.started().workers()
        (tmp_path / "refuse").touch()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        assert server.ended() == 1
    events = [line["event"] for line in server.lines() if line["event"] != "not_started"]
    assert events.index("no_worker_starts") < events.index("drained")
    # Each place had its tries.
    assert len(server.lines("not_started")) >= 2 * REFUSED_STARTS


async def test_a_worker_that_fails_at_the_first_start_ends_the_launcher_after_a_drain(tmp_path: Path) -> None:
    port = free_port()
    target = "tests.framework.server.drainable:create_one"
    with Launched(tmp_path, target, WORKERS="2", PORT=str(port), MARKS=str(tmp_path)) as server:
        server.port = server.http_port = port
        await asyncio.to_thread(until, lambda: _answers(server), "an answer of the first worker")
        assert await closed_with(ws_url(server), 3, (tmp_path / "fail").touch) == [1012] * 3
        assert server.ended() == 1


def _answers(server: Launched) -> bool:
    try:
        return server.get("/pid").is_success
    except httpx.HTTPError:
        return False


def test_an_application_that_cannot_be_made_ends_the_launcher_once(tmp_path: Path) -> None:
    with Launched(tmp_path, "tests.framework.server.drainable:fail") as server:
        assert server.ended() == 1
    reasons = server.lines("not_started")
    assert len(reasons) == 1
    assert "the table is wrong" in reasons[0]["exception"]


def test_a_start_that_is_refused_says_why_in_one_line(tmp_path: Path) -> None:
    with Launched(tmp_path, "tests.framework.server.observed:refuse") as server:
        assert server.ended() == 1
    assert [line.get("reason") for line in server.lines("not_started")] == ["the database is away"]
    assert "Traceback" not in server.output.read_text()


def test_wrong_settings_are_printed_without_a_traceback(tmp_path: Path) -> None:
    with Launched(tmp_path, SPECIMEN, PORT="http", WORKERS="0") as server:
        assert server.ended() == 2
    output = server.output.read_text()
    assert "PORT:" in output
    assert "WORKERS:" in output
    assert "Traceback" not in output


def test_a_port_in_use_is_refused_and_not_shared(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as taken:
        port = taken.getsockname()[1]
        with Launched(tmp_path, DRAINABLE, PORT=str(port)) as server:
            assert server.ended() == 2
    assert f"cannot listen on 127.0.0.1:{port}" in server.output.read_text()


def test_two_workers_share_one_port_and_answer_for_each_other(tmp_path: Path) -> None:
    with Launched(tmp_path, "tests.framework.server.observed:create", WORKERS="2") as server:
        server.started()
        asked = 0

        def both_answered() -> bool:
            nonlocal asked
            asked += 20
            return len({server.get("/pid").json() for _ in range(20)}) == 2

        until(both_answered, "an answer of both workers")

        def numbers_of_both() -> dict[str, float] | None:
            """By worker; one that does not answer the other within a second is left out."""
            counted = re.findall(
                r'^http_requests_total{method="GET",path="/pid",status="200",worker="(\d)"} (\S+)$',
                server.get("/metrics").text,
                re.MULTILINE,
            )
            return {worker: float(count) for worker, count in counted} if len(counted) == 2 else None

        # Whoever is asked, the numbers of both are there, and they add up.
        for _ in range(10):
            numbers = until(numbers_of_both, "the numbers of both workers")
            assert numbers.keys() == {"0", "1"}
            assert sum(numbers.values()) == asked
        (folder,) = {link.readlink().parent for pid in server.workers() for link in locks_of(pid)}
        server.process.terminate()
        assert server.ended() == 0
    assert not folder.exists()


CORES = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else []

needs_linux = pytest.mark.skipif(not CORES, reason="only Linux binds a process to a core")


def cores_of(pid: int) -> set[str]:
    """The cores of each thread of the process, as the kernel lists them."""
    statuses = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/status")]
    return {
        line.split()[1] for status in statuses for line in status.splitlines() if line.startswith("Cpus_allowed_li")
    }


@needs_linux
def test_each_worker_is_bound_to_a_core_with_all_its_threads(tmp_path: Path) -> None:
    """In the order of the list, which starts again."""
    listed = f"{CORES[-1]},{CORES[0]}-{CORES[0]}"
    with Launched(tmp_path, DRAINABLE, WORKERS="3", WORKER_CPUS=listed) as server:
        cores = [cores_of(pid) for pid in sorted(server.started().workers())]
        assert all(len(of_threads) == 1 for of_threads in cores)
        bound = [of_threads.pop() for of_threads in cores]
        assert sorted(bound) == sorted([str(CORES[-1]), str(CORES[0]), str(CORES[-1])])
        assert cores_of(server.process.pid) != {str(CORES[0])} or len(CORES) == 1


@needs_linux
def test_a_worker_that_is_replaced_keeps_its_core(tmp_path: Path) -> None:
    listed = f"{CORES[0]},{CORES[-1]}"
    with Launched(tmp_path, DRAINABLE, WORKERS="2", WORKER_CPUS=listed) as server:
        before = {pid: cores_of(pid) for pid in server.started().workers()}
        victim, healthy = before
        os.kill(victim, signal.SIGKILL)
        successor = until(lambda: next(iter({*server.workers()} - {*before}), None), "the successor")
        until(lambda: cores_of(successor) == before[victim], "its core")
        assert cores_of(healthy) == before[healthy]


@needs_linux
def test_workers_are_not_bound_by_default(tmp_path: Path) -> None:
    with Launched(tmp_path, DRAINABLE) as server:
        (pid,) = server.started().workers()
        assert os.sched_getaffinity(pid) == set(CORES)


@needs_linux
def test_a_core_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with Launched(tmp_path, DRAINABLE, WORKER_CPUS=f"{CORES[0]},4000-4001") as server:
        assert server.ended() == 2
    (line,) = server.output.read_text().splitlines()
    assert line.startswith("WORKER_CPUS names cores that this process may not use: 4000, 4001; it may use ")


def locks_of(pid: int) -> list[Path]:
    """The links in /proc to the lock files that a worker holds."""
    links = Path(f"/proc/{pid}/fd").iterdir()
    return [link for link in links if link.exists() and link.readlink().suffix == ".lock"]


async def test_a_running_request_is_answered_before_the_stop(tmp_path: Path) -> None:
    with Launched(tmp_path, DRAINABLE) as server:
        server.started()
        base_url = f"http://127.0.0.1:{server.port}"
        async with httpx.AsyncClient(verify=NO_TLS, base_url=base_url, timeout=PATIENCE) as client:
            running = asyncio.create_task(client.get("/slow?seconds=1"))
            while (await client.get("/running")).json() == 0:  # noqa: ASYNC110 - the event is in another process
                await asyncio.sleep(0.02)
            server.process.terminate()
            assert (await running).text == "done"
        assert server.ended() == 0


def test_changes_reload_the_workers_and_a_stop_still_drains(tmp_path: Path) -> None:
    # The target's package is what is watched.
    code = tmp_path / DRAINABLE.partition(".")[0]
    code.mkdir()
    table = tmp_path / "actions.json"
    table.write_text("{}")
    with Launched(tmp_path, DRAINABLE, cwd=tmp_path, RELOAD="true") as server:
        server.started()
        for changed in (table, table, code / "module.py"):
            before = until(lambda: _pid(server), "an answer")
            until(_saving(changed, lambda: _pid(server) not in (None, before)), "another worker")  # noqa: B023
        server.process.terminate()
        assert server.ended() == 0


def _pid(server: Launched) -> int | None:
    """The worker that answers; none while it is being replaced."""
    try:
        return int(server.get("/pid").json())
    except httpx.HTTPError:
        return None


def _saving(file: Path, condition: Callable[[], bool]) -> Callable[[], bool]:
    """The condition, for which the file is saved, as editors do it: a new one in the place of the old one.

    Every ten seconds again: on a busy machine, a watch may begin after the worker listens.
    """
    new = file.with_name("new")
    saved = 0.0

    def saved_and_true() -> bool:
        nonlocal saved
        if time.monotonic() > saved + 10:
            new.write_text("{ }")
            new.replace(file)
            saved = time.monotonic()
        return condition()

    return saved_and_true
