"""Declarations of checks, and what they answer, without a server."""

from collections.abc import AsyncGenerator
from typing import Annotated, Any

import pytest
from litestar.di import Provide
from msgspec import Meta, Struct

from starpost import Principal, Topic
from starpost.topics.authorization import TopicCheck, plan_checks

PRINCIPAL = Principal(
    user_id="alice-id", username="alice", roles=frozenset(), issued_at=0, expires_at=0, session_id=None
)


class Tick(Struct):
    n: int


def planned(authorize: Any, **providers: Provide) -> tuple[TopicCheck | None, list[str]]:
    topic = Topic("rooms.{room}.{part}", event=Tick, pkg_id=1, params={"room": int}, authorize=authorize)
    checks, faults = plan_checks([topic, Topic("plain", event=Tick, pkg_id=2)], providers)
    prefix = f"{topic.location}: topic 'rooms.{{room}}.{{part}}': authorize: "
    assert all(fault.startswith(prefix) for fault in faults)
    assert checks.keys() <= {topic.name}
    return checks.get(topic.name), [fault.removeprefix(prefix) for fault in faults]


async def ask(authorize: Any, **providers: Provide) -> bool:
    check, faults = planned(authorize, **providers)
    assert check is not None
    assert not faults
    return await check.allows(PRINCIPAL, {"room": 5, "part": "5"})


async def is_member(principal: Principal, room: Annotated[int, Meta(ge=1)], members: set[str]) -> bool:
    return principal.user_id in members and room == 5


async def test_answers() -> None:
    assert await ask(lambda principal, room: (principal.user_id, room) == ("alice-id", 5))
    assert not await ask(lambda part: part == 5)
    assert await ask(lambda principal, room: is_member(principal, room, {"alice-id"}))
    assert await ask(is_member, members=Provide(lambda: {"alice-id"}, sync_to_thread=False))
    assert not await ask(is_member, members=Provide(lambda: {"bob-id"}, sync_to_thread=False))


@pytest.mark.parametrize("answer", [None, 1, "yes", [5]])
async def test_what_is_no_answer_is_no_yes(answer: Any) -> None:
    with pytest.raises(TypeError, match="returns True or False"):
        await ask(lambda: answer)


async def test_dependencies_are_finished_whatever_the_check_does() -> None:
    ended: list[str] = []

    async def members() -> AsyncGenerator[set[str], None]:
        try:
            yield {"alice-id"}
        except ZeroDivisionError:
            ended.append("undone")
            raise
        ended.append("done")

    assert await ask(is_member, members=Provide(members))
    with pytest.raises(ZeroDivisionError):
        await ask(lambda members, room: room / 0 in members, members=Provide(members))
    assert ended == ["done", "undone"]


def wrong_type(principal: Principal, part: int) -> bool:
    return bool(principal) and bool(part)


def unresolved(room: "Nowhere") -> bool:  # type: ignore[name-defined] # noqa: F821 - what is tested
    return bool(room)


@pytest.mark.parametrize(
    ("authorize", "fault"),
    [
        (lambda principal, rum: bool(principal and rum), "nothing provides the parameter 'rum'"),
        (lambda *everything: bool(everything), "takes named parameters only"),
        (lambda principal, **rest: bool(principal and rest), "takes named parameters only"),
        (wrong_type, "'part' is str in the topic's name and int in the check; declare params={\"part\": int}"),
        (unresolved, "an annotation cannot be resolved"),
        ("admin", "its parameters cannot be read"),
    ],
)
def test_faults_are_named(authorize: Any, fault: str) -> None:
    _, (named,) = planned(authorize)
    assert fault in named


def test_a_parameter_cannot_be_taken_for_the_principal() -> None:
    topic = Topic("of.{principal}", event=Tick, pkg_id=1, authorize=lambda principal: principal == "me")
    _, (fault,) = plan_checks([topic], {})
    assert "needs another name" in fault
