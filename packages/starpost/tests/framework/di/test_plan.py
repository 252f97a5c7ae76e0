"""Litestar's rules, for the length of one packet: order, clean-up, and nothing left open."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import suppress
from functools import partial
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from typing import Any

import pytest
from litestar.di import Provide

from starpost.di import Plan, WrongDependencyError

GIVEN = frozenset({"request"})
EMPTY: tuple[int, ...] = ()


class Journal(list[str]):
    """What happened, in order; makes generator dependencies that write into it."""

    def generator(self, name: str, *, at_end: BaseException | None = None, instead: BaseException | None = None) -> Any:
        """An asynchronous one, which may fail when it is resumed or change the error that is thrown into it."""

        async def provider() -> AsyncGenerator[str, None]:
            self.append(f"open {name}")
            try:
                yield name
            except BaseException as error:
                self.append(f"undo {name}: {type(error).__name__}")
                if instead is not None:
                    raise instead from error
                raise
            self.append(f"commit {name}")
            if at_end is not None:
                raise at_end

        return provider

    def sync_generator(self, name: str) -> Any:
        def provider() -> Generator[str, None, None]:
            self.append(f"open {name}")
            try:
                yield name
            except BaseException as error:
                self.append(f"undo {name}: {type(error).__name__}")
                raise
            self.append(f"commit {name}")

        return provider


def plan_of(parameters: tuple[str, ...], **providers: Any) -> Plan:
    return Plan(
        parameters,
        {
            name: call if isinstance(call, Provide) else Provide(call, **options(call))
            for name, call in providers.items()
        },
        GIVEN,
    )


def options(call: Any) -> dict[str, bool]:
    """What Litestar wants to be told about a synchronous function, and warns of otherwise."""
    is_told = isasyncgenfunction(call) or iscoroutinefunction(call) or isgeneratorfunction(call)
    return {} if is_told else {"sync_to_thread": False}


async def run(plan: Plan, handler: Callable[..., Any] | None = None, **given: Any) -> Any:
    async with plan.resolve({"request": "the request"} | given) as arguments:
        result = handler(**arguments) if handler else arguments
        return await result if asyncio.iscoroutine(result) else result


class Service:
    def __init__(self, session: str) -> None:
        self.session = session


async def test_every_kind_of_provider() -> None:
    async def asynchronous(synchronous: str) -> str:
        return f"{synchronous}, asynchronous"

    journal = Journal()
    plan = plan_of(
        ("service", "asynchronous", "generated", "number"),
        synchronous=lambda: "synchronous",
        asynchronous=asynchronous,
        session=journal.generator("session"),
        service=Service,
        generated=journal.sync_generator("generated"),
        number=partial(lambda value: value, value=7),
        unused=journal.generator("unused"),
    )
    arguments = await run(plan)
    assert arguments.pop("service").session == "session"
    assert arguments == {"asynchronous": "synchronous, asynchronous", "generated": "generated", "number": 7}
    assert journal == ["open session", "open generated", "commit generated", "commit session"]


async def test_only_the_handlers_own_parameters_reach_it() -> None:
    plan = plan_of(("request", "b"), a=lambda: 1, b=lambda a: a + 1)
    assert await run(plan) == {"request": "the request", "b": 2}


async def test_a_provider_may_take_what_the_packet_brings() -> None:
    assert await run(plan_of(("a",), a=lambda request: request.upper())) == {"a": "THE REQUEST"}


async def test_a_dependency_of_several_is_made_once_per_packet() -> None:
    made: list[int] = []

    def number() -> int:
        made.append(len(made))
        return made[-1]

    plan = plan_of(("a", "b", "number"), number=number, a=lambda number: number, b=lambda number: number)
    assert await run(plan) == {"a": 0, "b": 0, "number": 0}
    assert await run(plan) == {"a": 1, "b": 1, "number": 1}


@pytest.mark.parametrize("is_async", [False, True])
async def test_cached(is_async: bool) -> None:
    made: list[int] = []

    def number() -> int:
        made.append(1)
        return len(made)

    async def async_number() -> int:
        return number()

    provide = (
        Provide(async_number, use_cache=True) if is_async else Provide(number, use_cache=True, sync_to_thread=False)
    )
    plan = plan_of(("number",), number=provide)
    assert [(await run(plan))["number"] for _ in range(3)] == [1, 1, 1]


async def test_in_a_thread() -> None:
    def name(prefix: str) -> str:
        return f"{prefix} {threading.current_thread() is threading.main_thread()}"

    plan = plan_of(("name",), prefix=lambda: "main?", name=Provide(name, sync_to_thread=True))
    assert await run(plan) == {"name": "main? False"}


async def test_a_default_is_kept_where_nothing_provides() -> None:
    def a(b: int = 5, **rest: int) -> int:
        return b

    assert await run(plan_of(("a",), a=a)) == {"a": 5}
    assert await run(plan_of(("a",), a=a, b=lambda: 6)) == {"a": 6}


def test_a_handlers_own_default_is_no_way_out() -> None:
    with pytest.raises(WrongDependencyError, match="'typo'"):
        plan_of(("typo",), a=lambda: 1)


def test_a_provider_whose_parameters_cannot_be_seen() -> None:
    with pytest.raises(WrongDependencyError, match="the parameters of the provider of 'a' cannot be read"):
        plan_of(("a",), a=int)


async def test_success_is_told_last_first() -> None:
    journal = Journal()
    plan = plan_of(("a", "b", "c"), a=journal.generator("a"), b=journal.sync_generator("b"), c=journal.generator("c"))
    await run(plan)
    assert journal == ["open a", "open b", "open c", "commit c", "commit b", "commit a"]


async def test_failure_is_told_last_first() -> None:
    journal = Journal()
    plan = plan_of(("a", "b", "c"), a=journal.generator("a"), b=journal.sync_generator("b"), c=journal.generator("c"))

    def handler(**_: Any) -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await run(plan, handler)
    assert journal[3:] == ["undo c: KeyError", "undo b: KeyError", "undo a: KeyError"]


async def test_an_early_end_leaves_nothing_to_finish() -> None:
    """As for a handler that answers with a refusal: it raises nothing, and what it did is undone."""
    journal = Journal()
    plan = plan_of(("a", "b"), a=journal.generator("a"), b=journal.sync_generator("b"))
    resolution = plan.resolve({"request": "the request"})
    async with resolution:
        await resolution.undo(KeyError("refused"))
        journal.append("still inside")
    assert journal[2:] == ["undo b: KeyError", "undo a: KeyError", "still inside"]


async def test_a_later_provider_that_fails_leaves_nothing_open() -> None:
    journal = Journal()

    def broken(a: str) -> str:
        raise OSError("away")

    plan = plan_of(
        ("a", "s", "broken", "late"),
        a=journal.generator("a"),
        s=journal.sync_generator("s"),
        broken=broken,
        late=journal.generator("late"),
    )
    with pytest.raises(OSError, match="away"):
        await run(plan)
    assert journal == ["open a", "open s", "undo s: OSError", "undo a: OSError"]


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_a_generator_that_yields_nothing(kind: str) -> None:
    async def nothing() -> AsyncGenerator[int, None]:
        for number in EMPTY:
            yield number

    def sync_nothing() -> Generator[int, None, None]:
        yield from EMPTY

    journal = Journal()
    plan = plan_of(("a", "b"), a=journal.generator("a"), b=nothing if kind == "async" else sync_nothing)
    with pytest.raises(RuntimeError):
        await run(plan)
    assert journal == ["open a", "undo a: RuntimeError"] or journal == [
        "open a",
        f"undo a: {'StopAsyncIteration' if kind == 'async' else 'StopIteration'}",
    ]


async def test_cancellation_is_told() -> None:
    journal = Journal()
    plan = plan_of(("a",), a=journal.generator("a"))
    is_running = asyncio.Event()

    async def handler(**_: Any) -> None:
        is_running.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(run(plan, handler))
    await is_running.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert journal == ["open a", "undo a: CancelledError"]


async def test_cancellation_while_a_provider_waits() -> None:
    journal = Journal()
    is_running = asyncio.Event()

    async def slow(a: str) -> AsyncGenerator[str, None]:
        is_running.set()
        try:
            await asyncio.Event().wait()
        finally:
            journal.append("slow has gone")
        yield a

    plan = plan_of(("slow",), a=journal.generator("a"), slow=slow)
    task = asyncio.create_task(run(plan))
    await is_running.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert journal == ["open a", "slow has gone", "undo a: CancelledError"]


async def test_a_commit_that_fails_undoes_the_others() -> None:
    journal = Journal()
    plan = plan_of(("a", "b"), a=journal.generator("a"), b=journal.generator("b", at_end=OSError("disk")))
    with pytest.raises(OSError, match="disk"):
        await run(plan)
    assert journal == ["open a", "open b", "commit b", "undo a: OSError"]


async def test_a_clean_up_that_fails_does_not_stop_the_others() -> None:
    journal = Journal()
    plan = plan_of(("a", "b"), a=journal.generator("a"), b=journal.generator("b", instead=OSError("clean-up")))

    def handler(**_: Any) -> None:
        raise KeyError("x")

    with pytest.raises(OSError, match="clean-up") as raised:
        await run(plan, handler)
    assert isinstance(raised.value.__cause__, KeyError)
    assert journal[2:] == ["undo b: KeyError", "undo a: KeyError"]


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_a_swallowed_error_is_an_error_all_the_same(kind: str) -> None:
    async def swallowing() -> AsyncGenerator[int, None]:
        with suppress(KeyError):
            yield 1

    def sync_swallowing() -> Generator[int, None, None]:
        with suppress(KeyError):
            yield 1

    def handler(**_: Any) -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await run(plan_of(("a",), a=swallowing if kind == "async" else sync_swallowing), handler)


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_a_generator_that_yields_twice_is_closed_and_refused(kind: str, fails: bool) -> None:
    journal = Journal()

    async def twice() -> AsyncGenerator[int, None]:
        with suppress(KeyError):
            yield 1
        try:
            yield 2
        finally:
            journal.append("closed")

    def sync_twice() -> Generator[int, None, None]:
        with suppress(KeyError):
            yield 1
        try:
            yield 2
        finally:
            journal.append("closed")

    def handler(**_: Any) -> None:
        if fails:
            raise KeyError("x")

    plan = plan_of(("a", "b"), a=journal.generator("a"), b=twice if kind == "async" else sync_twice)
    with pytest.raises(RuntimeError, match="twice yields more than once"):
        await run(plan, handler)
    assert journal[1:] == ["closed", f"undo a: {'KeyError' if fails else 'RuntimeError'}"]


async def test_packets_at_once_have_their_own() -> None:
    async def number(request: int) -> AsyncGenerator[int, None]:
        await asyncio.sleep(0)
        yield request

    async def handler(number: int) -> int:
        await asyncio.sleep(0)
        return number

    plan = plan_of(("number",), number=number)
    assert await asyncio.gather(*(run(plan, handler, request=n) for n in range(50))) == list(range(50))
