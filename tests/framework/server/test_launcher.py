"""The launcher, with real processes, signals and sockets."""

import asyncio
import os
import re
import signal
import socket
from functools import partial
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.framework.server.launched import Launched, is_running, until
from tests.plain_http import NO_TLS


async def closed_with(url: str, count: int, then: object) -> list[int | None]:
    """The close codes of that many sockets, closed by what ``then`` does."""
    sockets = [await connect(url) for _ in range(count)]
    then()  # type: ignore[operator]

    async def code(ws: object) -> int | None:
        try:
            await ws.recv()  # type: ignore[attr-defined]
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None
        raise AssertionError("nothing is sent to this socket")

    return list(await asyncio.gather(*(code(ws) for ws in sockets)))


def all_answer(server: Launched) -> list[int]:
    """Wait until every worker has answered, beyond the one that ``listening`` is sure of; their process ids.

    A worker that is asked to stop before it has begun to serve takes Granian the ten seconds of its patience.
    """
    pids = server.started().workers()
    until(lambda: {server.get("/pid").json() for _ in range(20)} == {*pids}, "an answer of every worker")
    return pids


@pytest.mark.parametrize(
    ("number", "workers"), [(signal.SIGTERM, "1"), (signal.SIGTERM, "2"), (signal.SIGINT, "1"), (signal.SIGHUP, "1")]
)
async def test_every_socket_is_closed_by_the_application_before_granian_stops(
    tmp_path: Path, number: signal.Signals, workers: str
) -> None:
    with Launched(tmp_path, WORKERS=workers, SHUTDOWN_MARKS=str(tmp_path)) as server:
        pids = all_answer(server)
        codes = await closed_with(server.ws_url, 20, lambda: server.process.send_signal(number))
        assert codes == [1012] * 20
        assert server.ended() == 0
        assert not any(is_running(pid) for pid in pids)
    assert server.lines("drained")[0]["workers_left"] == 0
    # The lifespans ended in order, too.
    assert all((tmp_path / str(pid)).exists() for pid in pids)


async def test_ctrl_c_reaches_the_workers_too_and_still_drains(tmp_path: Path) -> None:
    with Launched(tmp_path, WORKERS="2") as server:
        all_answer(server)
        codes = await closed_with(server.ws_url, 10, lambda: os.killpg(server.process.pid, signal.SIGINT))
        assert codes == [1012] * 10
        assert server.ended() == 0


def test_a_drain_that_never_ends_is_cut_at_the_limit(tmp_path: Path) -> None:
    with Launched(tmp_path, DRAIN_STUCK="1", DRAIN_TIMEOUT="0.3", DRAIN_SPREAD="0.2") as server:
        server.started().process.terminate()
        assert server.ended() == 0
    assert server.lines("drained")[0]["workers_left"] == 1


def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    with Launched(tmp_path, DRAIN_STUCK="1", DRAIN_TIMEOUT="3600") as server:
        server.started().process.terminate()
        until(lambda: server.lines("draining"), "draining")
        server.process.terminate()
        assert server.ended() == 0


def test_a_stop_during_the_start_is_clean(tmp_path: Path) -> None:
    with Launched(tmp_path) as server:
        pids = until(server.workers, "a worker process")
        server.process.terminate()
        assert server.ended() == 0
        assert not any(is_running(pid) for pid in pids)


def test_a_dead_worker_is_replaced_and_does_not_hold_up_the_drain(tmp_path: Path) -> None:
    with Launched(tmp_path, WORKERS="2") as server:
        server.started()
        before = set(server.workers())
        with pytest.raises(httpx.HTTPError):
            server.post("/die")
        until(lambda: len(set(server.workers()) - before) == 1, "a new worker")
        server.process.terminate()
        assert server.ended() == 0


def test_a_worker_that_dies_while_draining_is_not_replaced(tmp_path: Path) -> None:
    with Launched(tmp_path, WORKERS="2", DRAIN_STUCK="1", DRAIN_TIMEOUT="3600") as server:
        server.started().process.terminate()
        until(lambda: server.lines("draining"), "draining")
        for pid in server.workers():
            os.kill(pid, signal.SIGKILL)
        assert server.ended() == 0
        assert server.workers() == []


def test_no_worker_outlives_a_killed_launcher(tmp_path: Path) -> None:
    with Launched(tmp_path, WORKERS="2") as server:
        pids = server.started().workers()
        assert len(pids) == 2
        server.process.kill()
        until(lambda: not any(is_running(pid) for pid in pids), "the workers' end")


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
    with Launched(tmp_path, None, PORT="http", WORKERS="0") as server:
        assert server.ended() == 2
    output = server.output.read_text()
    assert "PORT:" in output
    assert "WORKERS:" in output
    assert "Traceback" not in output


def test_a_port_in_use_is_refused_and_not_shared(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as taken:
        port = taken.getsockname()[1]
        with Launched(tmp_path, PORT=str(port)) as server:
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
        # Whoever is asked, the numbers of both are there, and they add up.
        for _ in range(10):
            counted = re.findall(
                r'^http_requests_total{method="GET",path="/pid",status="200",worker="(\d)"} (\S+)$',
                server.get("/metrics").text,
                re.MULTILINE,
            )
            assert sorted(worker for worker, _ in counted) == ["0", "1"]
            assert sum(float(count) for _, count in counted) == asked
        (folder,) = {link.readlink().parent for pid in server.workers() for link in locks_of(pid)}
        server.process.terminate()
        assert server.ended() == 0
    assert not folder.exists()


def locks_of(pid: int) -> list[Path]:
    """The links in /proc to the lock files that a worker holds."""
    links = Path(f"/proc/{pid}/fd").iterdir()
    return [link for link in links if link.exists() and link.readlink().suffix == ".lock"]


async def test_a_running_request_is_answered_before_the_stop(tmp_path: Path) -> None:
    with Launched(tmp_path) as server:
        server.started()
        async with httpx.AsyncClient(verify=NO_TLS, base_url=f"http://127.0.0.1:{server.port}") as client:
            running = asyncio.create_task(client.get("/slow?seconds=1"))
            while (await client.get("/running")).json() == 0:  # noqa: ASYNC110 - the event is in another process
                await asyncio.sleep(0.02)
            server.process.terminate()
            assert (await running).text == "done"
        assert server.ended() == 0


def test_changes_reload_the_workers_and_a_stop_still_drains(tmp_path: Path) -> None:
    code = tmp_path / "app"
    code.mkdir()
    table = tmp_path / "actions.json"
    table.write_text("{}")
    with Launched(tmp_path, cwd=tmp_path, RELOAD="true") as server:
        server.started()
        # As editors do it: a new file in the place of the old one.
        for changed in (table, table, code / "module.py"):
            before = server.get("/pid").json()
            new = tmp_path / "new"
            new.write_text("{ }")
            new.replace(changed)
            until(partial(_is_replaced, server, before), "an answer of another worker")
        server.process.terminate()
        assert server.ended() == 0


def _is_replaced(server: Launched, before: int) -> bool:
    try:
        return int(server.get("/pid").json()) != before
    except httpx.HTTPError:
        return False
