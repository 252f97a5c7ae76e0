"""What a declaration may be."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from litestar.di import Provide

from starpost.tasks import BackgroundTask, plan_tasks


async def provide_session() -> AsyncGenerator[str, None]:
    yield "session"


def provide_clock() -> str:
    return "clock"


PROVIDERS = {"session": Provide(provide_session), "clock": Provide(provide_clock, sync_to_thread=False)}


def faults_of(*tasks: BackgroundTask) -> list[str]:
    return plan_tasks([("test", task) for task in tasks], PROVIDERS)[1]


async def work(clock: str, publisher: Any, new_unit_of_work: Any) -> None:
    """Do nothing."""


async def work_with_session(session: str) -> None:
    """Do nothing."""


async def work_under(lease: Any) -> None:
    """Do nothing."""


async def work_with_anything(**anything: Any) -> None:
    """Do nothing."""


def not_async() -> Any:
    """Do nothing."""


def test_good_declarations_get_the_names_of_function_and_domain() -> None:
    planned, faults = plan_tasks(
        [("a", BackgroundTask(work)), ("b", BackgroundTask(work)), ("b", BackgroundTask(work, name="other"))],
        PROVIDERS,
    )
    assert not faults
    assert [task.name for task in planned] == ["a.work", "b.work", "b.other"]


def test_a_periodic_task_may_take_a_session_and_one_of_the_cluster_its_lease() -> None:
    assert not faults_of(
        BackgroundTask(work_with_session, every=1.0), BackgroundTask(work_under, once_per_cluster=True)
    )


@pytest.mark.parametrize(
    ("task", "fault"),
    [
        (BackgroundTask(not_async), "`async def`"),
        (BackgroundTask(work_with_anything), "named parameters only"),
        (BackgroundTask(work_under), "nothing provides the parameter 'lease'"),
        (BackgroundTask(work_with_session), "would hold session for ever"),
    ],
)
def test_what_cannot_run_is_named_with_its_place(task: BackgroundTask, fault: str) -> None:
    (told,) = faults_of(task)
    assert fault in told
    assert "test_planning.py:" in told


def test_a_name_is_taken_once() -> None:
    (told,) = faults_of(BackgroundTask(work), BackgroundTask(work))
    assert "the name is taken by the task at" in told


@pytest.mark.parametrize("options", [{"every": 0.0}, {"every": -1.0}, {"every": float("nan")}, {"lease": 0.5}])
def test_times_that_make_no_sense_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"test_planning\.py"):
        BackgroundTask(work, **options)  # type: ignore[arg-type]
