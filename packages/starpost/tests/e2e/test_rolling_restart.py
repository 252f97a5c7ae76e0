"""Two nodes behind nginx are restarted one after the other while clients write and listen.

What was acknowledged is there afterwards, and who recovers has seen each event, once and in order.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from starpost.testing.issuer import Issuer
from starpost.testing.launched import Launched
from starpost.testing.packet_client import PacketClient, packet_client
from starpost.testing.plain_http import NO_TLS
from starpost_dev.services import Services, ports
from tests.e2e.proxy import proxied
from tests.framework.sockets.echo import GOOD
from tests.specimen import SPECIMEN

SUBSCRIBE, CREATE_AUTHOR, AUTHOR_EVENT, CLOSING, GAP = -3, 2, 8, -6, -7
WRITERS, LISTENERS = 4, 4
PATIENCE = 100.0
EDITOR = {"roles": ["author-reader", "author-editor"]}


class Node:
    """A server on a port of its own, which it keeps when it is restarted."""

    def __init__(self, stack: ExitStack, folder: Any, environ: dict[str, str]) -> None:
        self.port = ports.free_port()
        self.ws_port = ports.free_port()
        self._stack = stack
        self._folder = folder
        self._environ = environ | {"PORT": str(self.port), "WS_PORT": str(self.ws_port)}
        self.runs: list[Launched] = []

    def start(self) -> None:
        folder = self._folder / str(len(self.runs))
        folder.mkdir(parents=True)
        self.runs.append(self._stack.enter_context(Launched(folder, SPECIMEN, **self._environ)))
        self.runs[-1].started()

    def restart(self) -> int:
        """Stop as a deploy does, and start again; the exit status of the one that was stopped."""
        self.runs[-1].process.terminate()
        status = self.runs[-1].ended()
        self.start()
        return status


@pytest.fixture
def nodes(services: Services, issuer: Issuer, tmp_path: Any) -> Iterator[list[Node]]:
    environ = services.environment() | {
        "KEYCLOAK_BASE_URL": issuer.base_url,
        "REDIS_PREFIX": f"rolling-{uuid4().hex}",
        "DRAIN_SPREAD": "1",
        "WORKERS": "1",
    }
    with ExitStack() as stack:
        nodes = [Node(stack, tmp_path / str(number), environ) for number in range(2)]
        for node in nodes:
            node.start()
        yield nodes


class Client:
    """Comes back whenever it is sent away, as the contract tells a client to."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._token = token
        self.closed_with: list[int] = []
        self.is_done = False

    async def run(self) -> None:
        while not self.is_done:
            try:
                async with packet_client(self._port, self._token) as socket:
                    try:
                        await self.use(socket)
                    except ConnectionClosed as closed:
                        self.closed_with.append(closed.rcvd.code if closed.rcvd else 1006)
                    after_ms = [packet["data"]["after_ms"] for packet in socket.pushed if packet["pkg_id"] == CLOSING]
                    await asyncio.sleep(after_ms[0] / 1000 if after_ms else 0.05)
            except (OSError, InvalidHandshake):
                # The node that nginx chose has just gone.
                await asyncio.sleep(0.05)

    async def use(self, socket: PacketClient) -> None:
        raise NotImplementedError


class Writer(Client):
    """Adds authors."""

    def __init__(self, port: int, token: str) -> None:
        super().__init__(port, token)
        self.acknowledged: list[str] = []

    async def use(self, socket: PacketClient) -> None:
        while not self.is_done:
            name = f"author {uuid4().hex}"
            reply = await socket.ask(CREATE_AUTHOR, {"name": name})
            assert reply["status_code"] == 0, reply
            self.acknowledged.append(name)
            # The topic keeps 1,000 events: at this rate enough for whoever is away for ten seconds.
            await asyncio.sleep(0.05)


class Listener(Client):
    """Follows the topic, from where it was when it comes back."""

    def __init__(self, port: int, token: str) -> None:
        super().__init__(port, token)
        self.first: int | None = None
        self.offset: int | None = None
        self.epoch: str | None = None
        self.recovered: list[bool] = []
        self.names: list[str] = []
        self.offsets: list[int] = []

    async def use(self, socket: PacketClient) -> None:
        position = {} if self.offset is None else {"since": str(self.offset), "epoch": self.epoch}
        reply = await socket.ask(SUBSCRIBE, {"topic": "authors"} | position)
        assert reply["status_code"] == 0, reply
        if self.offset is None:
            self.first = self.offset = int(reply["data"]["offset"])
            self.epoch = reply["data"]["epoch"]
        else:
            self.recovered.append(reply["data"]["recovered"])
        while not self.is_done:
            packet = socket.pushed.popleft() if socket.pushed else await socket.receive()
            if packet["pkg_id"] == CLOSING:
                socket.pushed.append(packet)
                await socket.socket.wait_closed()
                await socket.socket.recv()
            assert packet["pkg_id"] == AUTHOR_EVENT, packet
            self.offset = int(packet["meta"]["offset"])
            self.offsets.append(self.offset)
            self.names.append(packet["data"]["author"]["name"])


async def until(condition: Callable[[], Any], what: str) -> None:
    try:
        async with asyncio.timeout(PATIENCE):
            while not condition():  # noqa: ASYNC110 - other processes change it
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"not within {PATIENCE} s: {what}") from None


async def load(writers: list[Writer]) -> None:
    """Wait until every writer has written some more."""
    goals = {writer: len(writer.acknowledged) + 20 for writer in writers}
    await until(lambda: all(len(writer.acknowledged) >= goal for writer, goal in goals.items()), "load")


async def write_one(port: int, token: str) -> None:
    """Write an author, with the patience of any client: the proxy may not have seen yet that a node is back."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                async with packet_client(port, token) as client:
                    await client.ask(CREATE_AUTHOR, {"name": f"author {uuid4().hex}"})
                    return
            except InvalidHandshake:
                await asyncio.sleep(0.1)


async def test_nothing_acknowledged_is_lost_and_nothing_published_is_missed(
    nodes: list[Node], postgres: "asyncpg.Connection[asyncpg.Record]", issuer: Issuer
) -> None:
    with proxied([node.port for node in nodes], [node.ws_port for node in nodes]) as port:
        tokens = [
            issuer.token(sub=f"roller{number}", preferred_username=f"roller{number}", realm_access=EDITOR)
            for number in range(WRITERS + LISTENERS)
        ]
        listeners = [Listener(port, token) for token in tokens[:LISTENERS]]
        writers = [Writer(port, token) for token in tokens[LISTENERS:]]
        async with asyncio.TaskGroup() as group:
            for listener in listeners:
                group.create_task(listener.run())
            await until(lambda: all(listener.first is not None for listener in listeners), "all listen")
            for writer in writers:
                group.create_task(writer.run())
            for node in nodes:
                await load(writers)
                assert await asyncio.to_thread(node.restart) == 0
            await load(writers)
            for writer in writers:
                writer.is_done = True
            acknowledged = {name for writer in writers for name in writer.acknowledged}
            for listener in listeners:
                await until(
                    lambda: acknowledged <= set(listener.names),  # noqa: B023 - waited for here
                    f"every acknowledged write is heard of: {listener.offset} after {listener.closed_with}",
                )
            for listener in listeners:
                listener.is_done = True
            # The listeners wait for an event: here is one more.
            await write_one(port, tokens[-1])

        rows = await postgres.fetch("SELECT name FROM specimen_author WHERE name = ANY($1::text[])", list(acknowledged))
        assert {row["name"] for row in rows} == acknowledged

    for listener in listeners:
        assert listener.first is not None
        assert listener.offsets == list(range(listener.first + 1, listener.first + 1 + len(listener.offsets)))
        assert all(listener.recovered)
    sent_away = [code for client in (*listeners, *writers) for code in client.closed_with]
    # Every client was on one of the two nodes, and both were restarted.
    assert all(client.closed_with for client in (*listeners, *writers))
    assert set(sent_away) == {1012}
    for node in nodes:
        for run in node.runs:
            assert not run.lines("events_not_published")
            assert not run.lines("event_lost")


async def test_the_proxy_answers_from_the_node_that_is_left(nodes: list[Node]) -> None:
    with proxied([node.port for node in nodes], [node.ws_port for node in nodes]) as port:
        nodes[0].runs[-1].process.kill()
        await asyncio.to_thread(nodes[0].runs[-1].process.wait)
        async with httpx.AsyncClient(verify=NO_TLS, base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
            for _ in range(6):
                assert (await client.get("/health/live")).status_code == 200
            assert (await client.get("/metrics")).status_code == 403
            for path in ("/web/", "/web//", "/web/%2e"):
                # The first port would serve a socket there, too.
                assert (await client.get(path, headers=GOOD)).status_code == 404
            assert (await client.get("/web", headers=GOOD)).status_code == 101
