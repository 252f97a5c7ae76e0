"""The subscriptions of one worker against a real Redis: what is left of them, and bounds that sockets seldom reach."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec
import pytest

from starpost import ConflictError, NotFoundError, Principal, Publisher, Topic, UnavailableError
from starpost.protocol.codecs import CODECS
from starpost.rbac.actions import ActionTable
from starpost.redis import RedisClients
from starpost.settings import Settings
from starpost.topics.authorization import plan_checks
from starpost.topics.broker import Broker
from starpost.topics.event import Run
from starpost.topics.hub import TopicHub
from starpost.topics.presence import MAX_PER_CALL, Presence
from starpost.topics.subscription import MAX_HELD
from starpost.topics.topic import Topics
from starpost_dev.services.ephemeral import ephemeral_valkey
from starpost_dev.services.valkey import Valkey
from tests.framework.hanging import hanging

PATIENCE = 100.0
answers: dict[int, "asyncio.Future[bool]"] = {}


class Tick(msgspec.Struct):
    n: int


async def check(room: int) -> bool:
    """As the test says, when the test says it."""
    return await answers[room] if room in answers else True


ROOMS = Topic("rooms.{room}", event=Tick, pkg_id=1, params={"room": int}, authorize=check)
TABLE = ActionTable.parse(b'{"roles": ["r"], "ws": {}, "http": {}, "topics": {"rooms.{room}": "r"}}')


class Seat:
    """A connection, as far as topics see it; keeps what it is sent."""

    def __init__(self, number: int = 0) -> None:
        self.id = f"{number:032x}"
        self.codec = CODECS[0]
        self.principal: Principal | None = principal(f"user {number}")
        self.outbox = self
        self.seqs: list[int] = []
        self.gaps: list[tuple[int | None, int | None]] = []
        self.frames: list[Any] = []
        self.pushed: list[Any] = []
        self._calls: list[Callable[[], None]] = []

    def after_reply(self, call: Callable[[], None]) -> None:
        self._calls.append(call)

    def replied(self) -> None:
        """The reply has been written."""
        calls, self._calls = self._calls, []
        for call in calls:
            call()

    def push_events(self, run: Run, source: Any) -> None:  # noqa: ARG002 - an EventOutbox's
        self.seqs += [seq for parcel in run.parcels for seq in range(parcel.first, parcel.last + 1)]
        self.pushed += [self.codec.parse(frame) for frame in run.frames]

    def push_gap(self, source: Any, first: int | None, last: int | None) -> None:  # noqa: ARG002 - an EventOutbox's
        self.gaps.append((first, last))

    def push_frames(self, frames: Any) -> None:
        self.frames.append(frames)


def principal(user: str, roles: frozenset[str] = frozenset({"r"})) -> Principal:
    return Principal(user_id=user, username=user, roles=roles, issued_at=1, expires_at=2, session_id=None)


class Worker:
    """What a worker has of topics."""

    def __init__(self, clients: RedisClients, *, lease: float) -> None:
        checks, faults = plan_checks([ROOMS], {})
        assert not faults
        self.broker = Broker(clients)
        self.presence = Presence(clients, lease=lease)
        self.hub = TopicHub(Topics([ROOMS]), TABLE, checks, self.broker, self.presence, max_subscriptions=100)

    async def publish(self, room: int, count: int) -> None:
        publisher = Publisher(self.broker)
        for number in range(count):
            publisher.publish(ROOMS, Tick(number), room=room)
        assert await self.broker.flush(PATIENCE)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left of any topic."""
        hub, broker = self.hub, self.broker
        kept = (hub._interests, hub._watchers, self.presence._rolls, broker._feeds, broker._leaving)
        return not any(kept) and list(broker._links._wanted) == [broker._keys.control_channel()]


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    with ephemeral_valkey() as running:
        yield running


@asynccontextmanager
async def running(valkey: Valkey, *, lease: float = 15) -> AsyncIterator[Worker]:
    clients = RedisClients(Settings.from_strings(valkey.endpoint.environment()))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(clients.close)
        worker = Worker(clients, lease=lease)
        await worker.broker.start()
        stack.push_async_callback(worker.broker.stop)
        await worker.presence.start()
        stack.push_async_callback(worker.presence.stop)
        yield worker


@pytest.fixture
async def worker(valkey: Valkey) -> AsyncIterator[Worker]:
    async with running(valkey) as worker:
        yield worker


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - Redis changes it
            await asyncio.sleep(0.01)


async def test_nothing_is_left_of_topics_that_nobody_published_to(
    worker: Worker, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("starpost.topics.broker.LINGER", 0.0)
    seats = [Seat(number) for number in range(3)]
    for seat in seats:
        for room in range(20):
            await worker.hub.subscribe(seat, f"rooms.{room}", None, None)
            await worker.hub.present(seat, f"rooms.{room}", True, size=1, cursor=None)
        seat.replied()
    for room in range(20):
        assert worker.hub.unsubscribe(seats[0], f"rooms.{room}")
        await worker.hub.present(seats[0], f"rooms.{room}", False, size=1, cursor=None)
    for seat in seats:
        worker.hub.release(seat)
    await until(lambda: worker.is_empty)
    assert valkey.command("KEYS", "*rooms*") == []


async def test_refused_names_leave_nothing(worker: Worker) -> None:
    seat = Seat()
    for name in ("nothing", "rooms.x", "rooms.{room}", "rooms.1.2"):
        with pytest.raises(NotFoundError):
            await worker.hub.subscribe(seat, name, None, None)
        assert not worker.hub.unsubscribe(seat, name)
    worker.hub.release(seat)
    assert worker.is_empty


async def test_what_cannot_be_held_back_is_told(worker: Worker) -> None:
    """More events than are kept come before the reply, and while a check is asked; no further one comes."""
    seat, witness = Seat(), Seat(1)
    await worker.hub.subscribe(witness, "rooms.1", None, None)
    witness.replied()
    await worker.hub.subscribe(seat, "rooms.1", None, None)
    await worker.publish(1, MAX_HELD + 5)
    await until(lambda: len(witness.seqs) == MAX_HELD + 5)
    assert not seat.seqs
    seat.replied()
    assert seat.seqs == list(range(1, MAX_HELD + 1))
    assert seat.gaps == [(MAX_HELD + 1, MAX_HELD + 5)]

    answers[1] = asyncio.get_running_loop().create_future()
    worker.hub.recheck(seat)
    await worker.publish(1, MAX_HELD + 2)
    await until(lambda: len(witness.seqs) == 2 * MAX_HELD + 7)
    assert len(seat.seqs) == MAX_HELD
    answers.pop(1).set_result(True)
    await until(lambda: len(seat.gaps) == 2)
    assert seat.seqs[MAX_HELD:] == list(range(MAX_HELD + 6, 2 * MAX_HELD + 6))
    assert seat.gaps[1] == (2 * MAX_HELD + 6, 2 * MAX_HELD + 7)
    assert not witness.gaps


async def test_a_check_that_does_not_answer_says_no(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("starpost.topics.hub.CHECK_PATIENCE", 0.05)
    seat = Seat()
    await worker.hub.subscribe(seat, "rooms.2", None, None)
    seat.replied()
    answers[2] = asyncio.get_running_loop().create_future()
    worker.hub.recheck(seat)
    await until(lambda: seat.gaps)
    assert seat.gaps == [(None, None)]
    assert not worker.hub.unsubscribe(seat, "rooms.2")
    del answers[2]


async def test_a_role_that_is_taken_between_reply_and_history(worker: Worker) -> None:
    seat = Seat()
    await worker.publish(3, 2)
    await worker.hub.subscribe(seat, "rooms.3", "0", None)
    seat.principal = principal("user 0", frozenset())
    worker.hub.recheck(seat)
    seat.replied()
    assert not seat.seqs
    assert seat.gaps == [(None, None)], "the reply said that events follow"


async def test_a_connection_that_ends_while_its_subscribe_waits(
    worker: Worker, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("starpost.topics.broker.LINGER", 0.0)
    monkeypatch.setattr("starpost.topics.hub.PATIENCE", 0.5)
    seat, witness = Seat(), Seat(1)
    await worker.hub.subscribe(witness, "rooms.5", None, None)
    with hanging(valkey):
        pending = [
            # One reads the history of a topic that is heard here already, one waits for its topic, one is judged.
            asyncio.create_task(worker.hub.subscribe(seat, "rooms.5", "0", None)),
            asyncio.create_task(worker.hub.subscribe(seat, "rooms.6", None, None)),
            asyncio.create_task(worker.hub.subscribe(seat, "rooms.7", None, None)),
            asyncio.create_task(worker.hub.present(seat, "rooms.5", True, size=1, cursor=None)),
        ]
        answers[7] = asyncio.get_running_loop().create_future()
        await asyncio.sleep(0.05)
        worker.hub.release(seat)
        answers.pop(7).set_result(True)
    outcomes = await asyncio.gather(*pending, return_exceptions=True)
    assert all(isinstance(outcome, ConflictError | UnavailableError) for outcome in outcomes)
    worker.hub.release(witness)
    await until(lambda: worker.is_empty)
    assert valkey.command("KEYS", "*rooms.[567]*") == []


async def test_thousands_whose_worker_died_leave_within_bounds(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("starpost.topics.hub.PATIENCE", PATIENCE)
    count = 2 * MAX_PER_CALL + 100
    async with running(valkey) as dying, running(valkey) as living:
        seats = [Seat(number) for number in range(count)]
        await asyncio.gather(*(dying.hub.subscribe(seat, "rooms.4", None, None) for seat in seats))
        seen: list[str] = []
        cursor = None
        while True:
            _, users, meta = await living.hub.present(seats[0], "rooms.4", None, size=1000, cursor=cursor)
            seen += [user.user for user in users]
            cursor = meta.next
            if cursor is None:
                break
        assert sorted(seen) == sorted(f"user {number}" for number in range(count))
        watcher = Seat(count)
        await living.hub.present(watcher, "rooms.4", True, size=1, cursor=None)
        watcher.replied()
        # Renewed once more, for a second: the leases had to hold while all of them were read.
        dying.presence._lease_ms = 1000
        for name, roll in dying.presence._rolls.items():
            roll.is_due = True
            dying.presence._write_soon(name, roll)
        await until(lambda: all(roll.task is None for roll in dying.presence._rolls.values()))
        # As when the process is gone: nobody renews and nobody leaves.
        assert dying.presence._renewing is not None
        dying.presence._renewing.cancel()
        dying.presence._rolls.clear()

        async def is_empty() -> bool:
            return not (await living.hub.present(watcher, "rooms.4", None, size=1, cursor=None))[1]

        async with asyncio.timeout(PATIENCE):
            while not await is_empty():  # noqa: ASYNC110 - Redis changes it
                await asyncio.sleep(0.05)
        left: list[str] = []
        while len(left) < count:
            await until(lambda: watcher.frames)
            for frames in watcher.frames:
                left += msgspec.json.decode(frames.of(CODECS[0]))["data"]["left"]
            watcher.frames.clear()
        assert sorted(left) == sorted(seen)


async def test_a_renewal_renews_nothing_that_was_left_meanwhile(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(valkey, lease=0.3) as worker:
        presence = worker.presence
        for room in (8, 9):
            await worker.hub.subscribe(Seat(room), f"rooms.{room}", None, None)
        await until(lambda: all(roll.task is None for roll in presence._rolls.values()))
        first, second = presence._rolls
        renewed: list[str] = []
        write_soon = presence._write_soon

        def leave_the_second(name: str, roll: Any) -> None:
            # As when its last leave is written while the renewal lets others have a turn.
            presence._rolls.pop(second, None)
            assert roll in presence._rolls.values()
            renewed.append(name)
            write_soon(name, roll)

        monkeypatch.setattr(presence, "_write_soon", leave_the_second)
        await until(lambda: len(renewed) > 1)
        assert set(renewed) == {first}
        assert presence._renewing is not None
        assert not presence._renewing.done()
