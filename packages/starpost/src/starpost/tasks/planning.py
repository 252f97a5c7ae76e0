"""Planning of tasks: checks declarations, and plans their names and arguments."""

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from litestar.di import Provide

from starpost.di import Plan, WrongDependencyError, parameters_of
from starpost.tasks.task import BackgroundTask

GIVEN: Final = frozenset({"publisher", "new_unit_of_work", "lease"})
"""Parameters that only tasks have, in addition to the dependencies of handlers: a ``Publisher`` that sends at once, a
function that makes a ``UnitOfWork``, and the ``Lease`` under which the task runs."""


@dataclass(frozen=True, slots=True)
class PlannedTask:
    """Planned task; ``name`` begins with that of its domain."""

    name: str
    task: BackgroundTask
    plan: Plan


def plan_tasks(
    tasks: Iterable[tuple[str, BackgroundTask]], providers: Mapping[str, Provide]
) -> tuple[list[PlannedTask], list[str]]:
    """Check the declarations.

    Args:
        tasks: Tasks with the names of their domains, in the order in which they start.
        providers: Dependencies by parameter name.

    Returns:
        The valid tasks, and every fault; an application with faults does not start.
    """
    planned: dict[str, PlannedTask] = {}
    faults: list[str] = []
    for domain, task in tasks:
        name = f"{domain}.{task.name}"
        plan, problems = _plan(task, providers)
        if name in planned:
            problems.append(f"the name is taken by the task at {planned[name].task.location}")
        if plan is not None and not problems:
            planned[name] = PlannedTask(name, task, plan)
        faults += [f"{task.location}: task {name!r}: {problem}" for problem in problems]
    return list(planned.values()), faults


def _plan(task: BackgroundTask, providers: Mapping[str, Provide]) -> tuple[Plan | None, list[str]]:
    parameters, problems = parameters_of(task.run)
    if not inspect.iscoroutinefunction(task.run):
        problems.append("a task is an `async def` function")
    given = GIVEN if task.once_per_cluster else GIVEN - {"lease"}
    try:
        plan = Plan(parameters, providers, given)
    except WrongDependencyError as error:
        return None, [*problems, str(error)]
    if task.every is None and plan.held:
        held = ", ".join(plan.held)
        problems.append(f"without every= it would hold {held} for ever; take `new_unit_of_work` or `publisher`")
    return plan, problems
