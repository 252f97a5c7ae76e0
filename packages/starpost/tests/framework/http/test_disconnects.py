"""What becomes of a request whose client is gone, in the real server and in PostgreSQL."""

import asyncio
import json
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from starpost.http.disconnects import MAX_KEPT, RunningRequests
from starpost.testing import Serve
from starpost.testing.issuer import Issuer
from starpost.testing.launched import PATIENCE, Launched

READER = {"roles": ["author-reader"]}


@pytest.fixture(params=["fast", "without fast paths"])
def served(serve: Serve, request: pytest.FixtureRequest) -> Launched:
    return serve() if request.param == "fast" else serve(FAST_PATHS="false")


class Client:
    """One HTTP/1.1 connection that can be left at any time."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._token = token

    async def send(self, method: str, path: str, body: bytes | None = None, *, length: int | None = None) -> None:
        """Send a request; ``length`` says more than is sent."""
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._port)
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nAuthorization: Bearer {self._token}\r\n"
        if body is not None:
            head += f"Content-Type: application/json\r\nContent-Length: {length or len(body)}\r\n"
        self.writer.write(head.encode() + b"\r\n" + (body or b""))
        await self.writer.drain()

    def leave(self, *, abruptly: bool = False) -> None:
        """Close the connection; abruptly, by a reset."""
        if abruptly:
            self.writer.transport.abort()
        else:
            self.writer.close()


@pytest.fixture
def client(served: Launched, issuer: Issuer) -> Client:
    return Client(served.port, issuer.token(realm_access=READER))


async def until(condition: Any) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await condition():  # noqa: ASYNC110 - PostgreSQL has no event for it
            await asyncio.sleep(0.02)


def filter_of_a_million(mark: str) -> str:
    """Hours of a filter over a million rows, without the load on the machine."""
    return f"SELECT n AS {mark} FROM generate_series(1, 1000000) AS n WHERE pg_sleep(0.01) IS NULL"


async def running(postgres: Any, mark: str) -> int:
    found: int = await postgres.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE state <> 'idle' AND pid <> pg_backend_pid() AND query LIKE $1",
        f"%AS {mark} %",
    )
    return found


def lines(served: Launched, mark: str) -> list[dict[str, Any]]:
    return [line for line in served.lines("request") if mark in line.get("query", "")]


async def test_the_queries_of_twenty_clients_that_left_end(served: Launched, issuer: Issuer, postgres: Any) -> None:
    mark = f"twenty_{uuid4().hex}"
    before = len(served.lines())
    clients = [Client(served.port, issuer.token(realm_access=READER)) for _ in range(20)]
    for number, client in enumerate(clients):
        route = ("fetch", "query", "stream")[number % 3]
        await client.send("GET", f"/probe/{route}?sql={quote(filter_of_a_million(mark))}")

    async def all_run() -> bool:
        return await running(postgres, mark) == len(clients)

    async def none_runs() -> bool:
        return await running(postgres, mark) == 0

    await until(all_run)
    for number, client in enumerate(clients):
        client.leave(abruptly=number % 2 == 0)
    await until(none_runs)

    async def all_logged() -> bool:
        return len(lines(served, mark)) == len(clients)

    await until(all_logged)
    # The streams had begun to answer.
    statuses = sorted(line["status"] for line in lines(served, mark))
    assert statuses == [200] * 6 + [499] * 14
    assert not served.lines("request_broken")
    assert not [line for line in served.lines()[before:] if "exception" in line]

    async def is_ready() -> bool:
        return (await asyncio.to_thread(served.get, "/health/ready")).status_code == 200

    # All connections of the pool are there for the next. On a busy machine, one that is asked may be late.
    await until(is_ready)


async def rows_after_leaving(client: Client, postgres: Any, path: str, seconds: float) -> int:
    """Leave while a row is written by a statement that takes so long; how many rows there are when it is over."""
    table = f"test_{uuid4().hex}"
    await postgres.execute(f"CREATE TABLE {table} (n int)")
    body = {"sql": f"INSERT INTO {table} VALUES (1) -- AS {table} --", "seconds": seconds}
    await client.send("POST", f"/probe/{path}", json.dumps(body).encode())

    async def is_written() -> bool:
        # Or is over already, where the machine is so busy that nobody looked in time.
        return await running(postgres, table) == 1 or bool(await postgres.fetchval(f"SELECT count(*) FROM {table}"))

    async def is_over() -> bool:
        return await running(postgres, table) == 0

    await until(is_written)
    client.leave()
    await until(is_over)
    count: int = await postgres.fetchval(f"SELECT count(*) FROM {table}")
    await postgres.execute(f"DROP TABLE {table}")
    return count


@pytest.mark.parametrize("path", ["write", "finish"])
async def test_a_write_that_is_about_to_commit_does(client: Client, postgres: Any, path: str) -> None:
    # One that outlives its client has longer than the others.
    assert await rows_after_leaving(client, postgres, path, 0.5 if path == "write" else 2.5) == 1


async def test_a_write_that_takes_longer_is_undone(client: Client, postgres: Any) -> None:
    assert await rows_after_leaving(client, postgres, "write", 600) == 0


@pytest.mark.parametrize("size", [0, 3, 200_000, 1_000_000])
async def test_a_body_that_is_read_late_is_whole(client: Client, size: int) -> None:
    """Asking whether the client is there takes nothing away from the application."""
    await client.send("POST", "/probe/unread?seconds=0.7", b"x" * size)
    answer = await asyncio.wait_for(client.reader.readuntil(b"}"), PATIENCE)
    assert answer.startswith(b"HTTP/1.1 201 ")
    assert answer.endswith(b'{"size":%d}' % size)
    client.leave()


async def test_a_client_that_stays_gets_its_answer_however_long_it_takes(client: Client) -> None:
    await client.send("GET", f"/probe/stream?sql={quote('SELECT pg_sleep(2)')}")
    answer = await asyncio.wait_for(client.reader.readuntil(b"ended"), PATIENCE)
    assert b"begun " in answer
    # The connection serves the next one.
    client.writer.write(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert b'{"status":"live"}' in await asyncio.wait_for(client.reader.readuntil(b"live"), PATIENCE) + b'"}'
    client.leave()


class Server:
    """An ASGI server's end of one request: a body in so many messages, then silence until the client goes."""

    def __init__(self, messages: int) -> None:
        self._messages = [
            {"type": "http.request", "body": b"%d" % number, "more_body": number < messages - 1}
            for number in range(messages)
        ]
        self.is_gone = asyncio.Event()
        self.asked = 0

    async def receive(self) -> Any:
        self.asked += 1
        if self._messages:
            return self._messages.pop(0)
        await self.is_gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        """Hear the answer."""


async def handled(requests: RunningRequests, app: Any, server: Server) -> None:
    """One request, in a task of its own."""
    scope: Any = {"type": "http"}

    async def handle() -> None:
        await requests.around(app)(scope, server.receive, server.send)

    await asyncio.create_task(handle())


async def passed(requests: RunningRequests, count: int = 1) -> None:
    """Have so many sweeps look, as if a second had passed between each two, and all be done that follows."""
    loop = asyncio.get_running_loop()
    for number in range(count):
        for request in [*requests._requests]:
            request.look(loop.time() + number)
        for _ in range(10):
            await asyncio.sleep(0)


async def test_of_a_quick_request_nothing_is_asked() -> None:
    requests, server = RunningRequests(), Server(1)

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await passed(requests)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        assert not requests._requests

    await handled(requests, app, server)
    assert server.asked == 0


async def test_a_background_task_of_an_answered_request_is_not_cancelled() -> None:
    requests, server = RunningRequests(), Server(1)
    is_done = False

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        nonlocal is_done
        await passed(requests, 3)
        await send({"type": "http.response.body", "body": b""})
        server.is_gone.set()
        await passed(requests, 3)
        is_done = True

    await handled(requests, app, server)
    assert is_done


async def test_of_a_body_that_nobody_reads_little_is_kept() -> None:
    requests, server = RunningRequests(), Server(100)

    async def app(_scope: Any, receive: Any, _send: Any) -> None:
        await passed(requests, 10)
        assert server.asked == MAX_KEPT
        for number in range(100):
            message = await receive()
            assert message["body"] == b"%d" % number
            if number == 50:
                await passed(requests, 10)
                assert server.asked <= 51 + MAX_KEPT
        server.is_gone.set()
        assert (await receive())["type"] == "http.disconnect"
        assert (await receive())["type"] == "http.disconnect"

    await handled(requests, app, server)


async def test_a_request_that_ends_without_an_answer_leaves_nothing_behind() -> None:
    requests, server, before = RunningRequests(), Server(1), asyncio.all_tasks()

    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        await passed(requests, 3)
        raise ValueError("no answer")

    with pytest.raises(ValueError, match="no answer"):
        await handled(requests, app, server)
    await passed(requests)
    assert not requests._requests
    assert asyncio.all_tasks() <= before
