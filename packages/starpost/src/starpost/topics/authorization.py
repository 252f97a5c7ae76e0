"""Checks of topics, in addition to the permission table: ``Topic(..., authorize=...)``.

A check takes its arguments by name: ``principal``, the topic's parameters, and the dependencies of handlers. It may be
an ordinary or an ``async def`` function. A plan for its arguments is made once, at start.
"""

import inspect
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from litestar.di import Provide

from starpost.auth.principal import Principal
from starpost.di import Plan, WrongDependencyError, parameters_of
from starpost.topics.topic import Authorize, Topic


class TopicCheck:
    """Check of one topic.

    Args:
        function: The declared function.
        plan: Plan of its arguments.
    """

    __slots__ = ("_function", "_plan")

    def __init__(self, function: Authorize, plan: Plan) -> None:
        self._function = function
        self._plan = plan

    async def allows(self, principal: Principal, params: Mapping[str, Any]) -> bool:
        """Call the check, and return its answer. Waits only if the check or one of its dependencies does.

        Raises:
            TypeError: The answer is neither ``True`` nor ``False``.
            Exception: Any exception of the check.
        """
        async with self._plan.resolve({**params, "principal": principal}) as arguments:
            answer: Any = self._function(**arguments)
            if inspect.isawaitable(answer):
                answer = await answer
            return _bool(answer)


def _bool(answer: Any) -> bool:
    """Return the answer, which must be a boolean: a truthy value, such as a row, lets nobody in."""
    if not isinstance(answer, bool):
        raise TypeError(f"a check returns True or False, not {type(answer).__name__}")
    return answer


def plan_checks(
    topics: Iterable[Topic[Any]], providers: Mapping[str, Provide]
) -> tuple[dict[str, TopicCheck], list[str]]:
    """Check the declarations.

    Args:
        topics: All topics.
        providers: Dependencies by parameter name.

    Returns:
        The checks by the topics' declared names, and every fault; an application with faults does not start.
    """
    checks: dict[str, TopicCheck] = {}
    faults: list[str] = []
    for topic in topics:
        if topic.authorize is None:
            continue
        check, problems = _plan(topic, topic.authorize, providers)
        if check is not None:
            checks[topic.name] = check
        faults += [f"{topic.location}: topic {topic.name!r}: authorize: {problem}" for problem in problems]
    return checks, faults


def _plan(
    topic: Topic[Any], function: Authorize, providers: Mapping[str, Provide]
) -> tuple[TopicCheck | None, list[str]]:
    parameters, problems = parameters_of(function)
    if problems:
        return None, problems
    if "principal" in topic.params:
        problems.append("`principal` is who subscribes; the topic's parameter needs another name")
    problems += _wrong_types(topic, function)
    try:
        plan = Plan(parameters, providers, frozenset({"principal", *topic.params}))
    except WrongDependencyError as error:
        return None, [*problems, str(error)]
    return TopicCheck(function, plan), problems


def _wrong_types(topic: Topic[Any], function: Authorize) -> Iterable[str]:
    """Yield parameters with a wrong annotation in the check, which would compare ``1`` with ``"1"``."""
    try:
        hints = get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError) as error:
        yield f"an annotation cannot be resolved: {error}"
        return
    for name, declared in topic.params.items():
        wanted, given = _plain(hints.get(name, object)), _plain(declared)
        if isinstance(wanted, type) and isinstance(given, type) and not issubclass(given, wanted):
            yield (
                f"{name!r} is {given.__name__} in the topic's name and {wanted.__name__} in the check; "
                f'declare params={{"{name}": {wanted.__name__}}}'
            )


def _plain(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
