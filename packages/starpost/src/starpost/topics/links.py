"""Sharded pub/sub connections: one link per server that holds a wanted channel.

A channel is *placed* on the link of its server, *joined* when the server has confirmed it, and *lost* when the link
breaks or the slot moves. Then it is placed anew, with back-off and jitter, for as long as it is wanted. Messages sent
while a channel is lost do not arrive: its listener is told of each joining, and fetches what it missed.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Protocol

import structlog
from redis.crc import key_slot
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MovedError

from starpost.backoff import FIRST_PAUSE, Backoff
from starpost.redis import REDIS_FAULTS, Address, RedisClients
from starpost.redis.tasks import end_task

SILENCE: Final = 5.0
"""Silence, in seconds, after which the server gets a PING. After the same time again, the link is given up."""

MAX_AT_ONCE: Final = 128
"""Messages that are taken in one turn of the loop, if so many have arrived together."""

TURN: Final = 0.001
"""Seconds that listeners may take for them."""

log = structlog.get_logger(__name__)


class Listener(Protocol):
    """Listener of a channel. Its methods must not block or raise."""

    def joined(self) -> None:
        """Note that messages arrive from here on; those since the last ``lost`` did not."""
        ...

    def lost(self) -> None:
        """Note that no messages arrive until the next ``joined``."""
        ...

    def message(self, data: bytes) -> None:
        """Take a message."""
        ...


class Links:
    """Links of one worker, which keep wanted channels joined."""

    def __init__(self, clients: RedisClients) -> None:
        self._clients = clients
        self._wanted: dict[str, Listener] = {}
        self._links: dict[Address, _Link] = {}
        self._unplaced: set[str] = set()
        self._is_stale = False
        self._asks_again_at = 0.0
        self._asked_in_vain = Backoff()
        self._absences: dict[Address, _Absence] = {}
        self._work = asyncio.Event()
        self._placer: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start placing channels."""
        self._placer = asyncio.create_task(self._place(), name="links")

    async def stop(self) -> None:
        """Close all links."""
        await end_task(self._placer)
        await asyncio.gather(*(end_task(link.task) for link in list(self._links.values())))

    def want(self, channel: str, listener: Listener) -> None:
        """Join a channel, and join it again whenever it is lost."""
        self._wanted[channel] = listener
        self._unplaced.add(channel)
        self._work.set()

    def unwant(self, channel: str) -> None:
        """Leave a channel."""
        self._wanted.pop(channel, None)
        self._unplaced.discard(channel)
        for link in list(self._links.values()):
            link.remove(channel)

    def listener(self, channel: str) -> Listener | None:
        """Return the listener of a channel; ``None`` if nobody wants it."""
        return self._wanted.get(channel)

    def confirmed(self, link: "_Link", channel: str) -> None:
        """Note that the server of a link sends the channel from here on; called by the link."""
        self._absences.pop(link.address, None)
        listener = self._wanted.get(channel)
        if listener is not None:
            listener.joined()

    def link_ended(self, link: "_Link", channels: set[str], error: BaseException | None) -> None:
        """Place the channels of a link anew; called by the link, once, when it has ended."""
        if self._links.get(link.address) is link:
            del self._links[link.address]
        if error is not None:
            log.warning("redis_link_lost", host=link.address.host, port=link.address.port, cause=repr(error))
            self._absences.setdefault(link.address, _Absence()).prolong()
        self.lost(channels)

    def lost(self, channels: set[str]) -> None:
        """Mark channels as lost, so that they are placed anew."""
        for channel in channels:
            listener = self._wanted.get(channel)
            if listener is not None:
                listener.lost()
                self._unplaced.add(channel)
                # Another server may have the channel now.
                self._is_stale = True
        self._work.set()

    async def _place(self) -> None:
        """Bring unplaced channels to the links of their servers, for ever."""
        # Twice the pause of a server, so that the next round may try it again.
        backoff = Backoff(2 * FIRST_PAUSE)
        next_round: float | None = None
        while True:
            # A new channel ends the pause: it does not wait for those whose server is away.
            with suppress(TimeoutError):
                async with asyncio.timeout(next_round):
                    await self._work.wait()
            self._work.clear()
            try:
                is_done = await self._place_all()
            except REDIS_FAULTS as error:
                log.warning("redis_servers_unknown", channels=len(self._unplaced), cause=repr(error))
                is_done = False
            if is_done:
                backoff.reset()
            next_round = None if is_done else backoff.fail()

    async def _place_all(self) -> bool:
        """Place channels, and return whether all are placed. A server that is away delays only its own channels."""
        if not self._unplaced:
            return True
        place = await self._places()
        now = asyncio.get_running_loop().time()
        for channel in list(self._unplaced):
            address = place(channel)
            if address is None or (address in self._absences and now < self._absences[address].until):
                self._is_stale = True
                continue
            link = self._links.get(address)
            if link is None:
                link = self._links[address] = _Link(self, self._clients, address)
            link.add(channel)
            self._unplaced.discard(channel)
        if not self._unplaced:
            self._asked_in_vain.reset()
        return not self._unplaced

    async def _places(self) -> Callable[[str], Address | None]:
        now = asyncio.get_running_loop().time()
        is_asking = self._is_stale and now >= self._asks_again_at
        if is_asking:
            self._is_stale = False
            self._asks_again_at = now + self._asked_in_vain.fail()
        try:
            return await self._clients.places(anew=is_asking)
        except REDIS_FAULTS:
            self._is_stale = True
            raise


class _Absence:
    """Back-off of one server whose link was lost."""

    def __init__(self) -> None:
        self.until = 0.0
        self._backoff = Backoff()

    def prolong(self) -> None:
        self.until = asyncio.get_running_loop().time() + self._backoff.fail()


class _Link:
    """Pub/sub connection to one server."""

    def __init__(self, links: Links, clients: RedisClients, address: Address) -> None:
        self.address = address
        self._links = links
        self._client = clients.subscriber(address)
        self._pubsub: Any = self._client.pubsub()
        self._channels: set[str] = set()
        self._joined: set[str] = set()
        # Orders to write: one task writes, one reads, and one listens for silence.
        self._joining: dict[str, None] = {}
        self._leaving: dict[str, None] = {}
        self._has_orders = asyncio.Event()
        self._heard_at = 0.0
        self.task = asyncio.create_task(self._run(), name=f"redis-link-{address.host}:{address.port}")

    def add(self, channel: str) -> None:
        """Request a channel from the server; ``joined`` follows."""
        self._channels.add(channel)
        self._leaving.pop(channel, None)
        self._joining[channel] = None
        self._has_orders.set()

    def remove(self, channel: str) -> None:
        """Leave a channel, if it is here."""
        if channel in self._channels:
            self._channels.discard(channel)
            self._joined.discard(channel)
            self._joining.pop(channel, None)
            self._leaving[channel] = None
            self._has_orders.set()

    async def _run(self) -> None:
        error: BaseException | None = None
        tasks: list[asyncio.Task[None]] = []
        try:
            await self._pubsub.connect()
            tasks += map(asyncio.create_task, (self._write(), self._listen(), self._watch()))
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
        except REDIS_FAULTS as failure:
            error = failure
        except Exception as failure:
            log.exception("redis_link_failed")
            error = failure
        finally:
            # The channels first: they must be placed anew even if closing fails.
            self._links.link_ended(self, self._channels, error)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with suppress(*REDIS_FAULTS):
                await self._pubsub.aclose()
                await self._client.aclose()

    async def _write(self) -> None:
        """Send the orders."""
        while True:
            await self._has_orders.wait()
            self._has_orders.clear()
            while self._leaving or self._joining:
                leaving, joining = _take(self._leaving), _take(self._joining)
                # One by one: on a cluster, a command may name channels of one slot only.
                for channel in leaving:
                    await self._pubsub.sunsubscribe(channel)
                for channel in joining:
                    await self._pubsub.ssubscribe(channel)

    async def _watch(self) -> None:
        """Ask a silent server for a PONG, and raise if it stays silent."""
        time = asyncio.get_running_loop().time
        self._heard_at = time()
        while True:
            heard_at = self._heard_at
            left = heard_at + SILENCE - time()
            if left > 0:
                await asyncio.sleep(left)
                continue
            await self._pubsub.ping()
            await asyncio.sleep(SILENCE)
            if self._heard_at == heard_at:
                raise RedisConnectionError(f"the server was silent for {2 * SILENCE:.0f} s")

    async def _listen(self) -> None:
        time, taken, spent = asyncio.get_running_loop().time, 0, 0.0
        while True:
            try:
                # Without a time limit, which would be a timer for each message.
                response = await self._pubsub.parse_response(block=True)
            except MovedError as error:
                # The answer to one SSUBSCRIBE; connection and other channels are not affected.
                self._moved(error.slot_id)
                continue
            self._heard_at = began = time()
            if response[0] == b"smessage":
                self._hear_event(response[1].decode(), response[2])
            else:
                # redis-py keeps account of channels.
                self._hear(await self._pubsub.handle_message(response))
            taken, spent = taken + 1, spent + time() - began
            # Messages that arrived together are taken in one turn, so that events among them travel together.
            if taken < MAX_AT_ONCE and spent < TURN and await self._pubsub.connection.can_read():
                continue
            # Then others get as many turns, in which outboxes write: at the pace of Redis they would overflow.
            while taken:
                await asyncio.sleep(0)
                taken -= 1
            spent = 0.0

    def _moved(self, slot: int) -> None:
        moved = {channel for channel in self._channels - self._joined if key_slot(channel.encode()) == slot}
        self._channels -= moved
        self._links.lost(moved)

    def _hear(self, message: Any) -> None:
        kind = message["type"]
        if kind == "pong":
            return
        channel = message["channel"].decode()
        if channel in self._channels:
            if kind == "ssubscribe":
                self._joined.add(channel)
                self._links.confirmed(self, channel)
            elif kind == "sunsubscribe" and channel in self._joined:
                # We did not leave the channel, so its slot has moved.
                self._channels.discard(channel)
                self._joined.discard(channel)
                self._links.lost({channel})

    def _hear_event(self, channel: str, data: bytes) -> None:
        listener = self._links.listener(channel)
        if listener is None:
            return
        try:
            listener.message(data)
        except Exception:
            # A bad message must not end the link, which carries other channels.
            log.exception("message_failed", channel=channel)


def _take(orders: dict[str, None]) -> list[str]:
    taken = list(orders)
    orders.clear()
    return taken
