"""What handlers depend on, by parameter name: Litestar's rules, for the length of one packet.

A plan is made once, at start: which providers to call, in which order, with which arguments. Running it per packet is
a loop over that list. Generators are resumed after the handler, last first: normally on success, with the error thrown
in otherwise. They end before the reply is sent, so that what a reply reports has been committed.
"""

import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from enum import Enum, auto
from typing import Any, Final, NamedTuple

from litestar.di import Provide
from litestar.utils.sync import AsyncCallable

_ENDED: Final = object()


class WrongDependencyError(Exception):
    """A parameter that nothing provides, or providers that need each other in a circle."""


class _Kind(Enum):
    SYNC = auto()
    """Called as it is: a class, or a function that does not wait."""
    PROVIDE = auto()
    """Awaited through Litestar's ``Provide``, which knows caching and threads."""
    GENERATOR = auto()
    ASYNC_GENERATOR = auto()


class _Step(NamedTuple):
    name: str
    kind: _Kind
    call: Callable[..., Any]
    arguments: tuple[str, ...]


class Plan:
    """How to make the arguments of one handler.

    Args:
        parameters: The handler's parameter names.
        providers: By name.
        given: Names whose values each packet brings itself (``request``, ``connection``, ``principal``).

    Raises:
        WrongDependencyError: See there.
    """

    __slots__ = ("_arguments", "_steps")

    def __init__(self, parameters: tuple[str, ...], providers: Mapping[str, Provide], given: frozenset[str]) -> None:
        steps: dict[str, _Step] = {}
        _order(parameters, providers, given, steps, ())
        self._steps = tuple(steps.values())
        self._arguments = parameters

    @property
    def held(self) -> tuple[str, ...]:
        """Names of the generators, which are kept until they are finished."""
        return tuple(step.name for step in self._steps if step.kind in (_Kind.GENERATOR, _Kind.ASYNC_GENERATOR))

    async def enter(self, values: dict[str, Any], open_generators: list[Any]) -> dict[str, Any]:
        """Call the providers.

        Args:
            values: The given values; provided ones are added.
            open_generators: Takes every generator as soon as it has yielded, for ``finish`` or ``fail``.
        """
        for name, kind, call, argument_names in self._steps:
            arguments = {argument: values[argument] for argument in argument_names}
            if kind is _Kind.SYNC:
                values[name] = call(**arguments)
            elif kind is _Kind.PROVIDE:
                values[name] = await call(**arguments)
            elif kind is _Kind.ASYNC_GENERATOR:
                generator: AsyncGenerator[Any, None] = call(**arguments)
                values[name] = await anext(generator)
                open_generators.append(generator)
            else:
                sync_generator: Generator[Any, None, None] = call(**arguments)
                values[name] = next(sync_generator)
                open_generators.append(sync_generator)
        return {argument: values[argument] for argument in self._arguments}


async def finish(open_generators: list[Any]) -> None:
    """Resume the generators, last first. What the first failing one raises is thrown into those that are left."""
    while open_generators:
        generator = open_generators.pop()
        try:
            if isinstance(generator, AsyncGenerator):
                has_ended = await anext(generator, _ENDED) is _ENDED
            else:
                has_ended = next(generator, _ENDED) is _ENDED
            if not has_ended:
                await _close(generator)
        except BaseException as error:
            await fail(open_generators, error)
            raise


async def fail(open_generators: list[Any], error: BaseException) -> None:
    """Throw ``error`` into the generators, last first; they may clean up, they cannot make it good.

    Raises:
        Exception: What a generator raised instead of ``error``, after all have been told.
    """
    another: BaseException | None = None
    while open_generators:
        generator = open_generators.pop()
        try:
            if isinstance(generator, AsyncGenerator):
                await generator.athrow(error)
            else:
                generator.throw(error)
            await _close(generator)
        except (StopIteration, StopAsyncIteration):
            continue
        except BaseException as raised:  # noqa: BLE001 - the others must be told first; raised below
            if raised is not error:
                another = raised
    if another is not None:
        raise another from error


async def _close(generator: Any) -> None:
    """End a generator that went on where it had to end; what it holds is not left to the garbage collector."""
    if isinstance(generator, AsyncGenerator):
        await generator.aclose()
    else:
        generator.close()
    raise RuntimeError(f"the dependency {generator.__qualname__} yields more than once")


def _order(
    names: tuple[str, ...],
    providers: Mapping[str, Provide],
    given: frozenset[str],
    steps: dict[str, _Step],
    path: tuple[str, ...],
) -> None:
    """Put the providers of ``names`` behind those that they need themselves."""
    for name in names:
        if name in given or name in steps:
            continue
        if name in path:
            raise WrongDependencyError(f"dependencies need each other in a circle: {' → '.join((*path, name))}")
        provide = providers.get(name)
        if provide is None:
            known = ", ".join(sorted(given | providers.keys()))
            wanted = f" (wanted by {path[-1]!r})" if path else ""
            raise WrongDependencyError(f"nothing provides the parameter {name!r}{wanted}; there are: {known}")
        arguments = _arguments_of(name, provide, providers, given)
        _order(arguments, providers, given, steps, (*path, name))
        steps[name] = _step(name, provide, arguments)


def _arguments_of(
    name: str, provide: Provide, providers: Mapping[str, Provide], given: frozenset[str]
) -> tuple[str, ...]:
    """What a provider takes. A parameter that has a default and that nothing provides keeps its default."""
    dependency = provide.dependency
    if isinstance(dependency, AsyncCallable):  # `sync_to_thread`; it does not show what it wraps
        dependency = dependency.func
    try:
        parameters = inspect.signature(dependency).parameters
    except ValueError as error:
        raise WrongDependencyError(f"what the provider of {name!r} takes cannot be seen: {error}") from None
    return tuple(
        argument
        for argument, parameter in parameters.items()
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        and (parameter.default is parameter.empty or argument in providers or argument in given)
    )


def _step(name: str, provide: Provide, arguments: tuple[str, ...]) -> _Step:
    if provide.has_async_generator_dependency:
        return _Step(name, _Kind.ASYNC_GENERATOR, provide.dependency, arguments)
    if provide.has_sync_generator_dependency:
        return _Step(name, _Kind.GENERATOR, provide.dependency, arguments)
    if provide.has_sync_callable and not provide.use_cache:
        return _Step(name, _Kind.SYNC, provide.dependency, arguments)
    return _Step(name, _Kind.PROVIDE, provide, arguments)
