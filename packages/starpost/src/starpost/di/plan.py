"""Plan of the dependencies of one function, made at start: which providers to call, in which order, with what."""

import inspect
from collections.abc import Mapping
from typing import Any

from litestar.di import Provide
from litestar.utils.sync import AsyncCallable

from starpost.di.resolution import Resolution
from starpost.di.steps import Kind, Step, step_of


class WrongDependencyError(Exception):
    """A parameter has no provider, or providers need each other in a circle."""


class Plan:
    """Order in which the arguments of one function are made.

    Args:
        parameters: The function's parameter names.
        providers: Providers by name.
        given: Names whose values each call brings itself (``request``, ``connection``, ``principal``).

    Raises:
        WrongDependencyError: A parameter has no provider, or providers need each other in a circle.
    """

    __slots__ = ("_parameters", "_steps")

    def __init__(self, parameters: tuple[str, ...], providers: Mapping[str, Provide], given: frozenset[str]) -> None:
        steps: dict[str, Step] = {}
        _order(parameters, providers, given, steps, ())
        self._steps = tuple(steps.values())
        self._parameters = parameters

    @property
    def held(self) -> tuple[str, ...]:
        """Names of the generators, which are kept until they are finished."""
        return tuple(step.name for step in self._steps if step.kind in (Kind.GENERATOR, Kind.ASYNC_GENERATOR))

    def resolve(self, values: dict[str, Any]) -> Resolution:
        """Make the arguments of one call, at the entry of the context that is returned.

        Args:
            values: The given values; provided ones are added.
        """
        return Resolution(self._steps, self._parameters, values)


def _order(
    names: tuple[str, ...],
    providers: Mapping[str, Provide],
    given: frozenset[str],
    steps: dict[str, Step],
    path: tuple[str, ...],
) -> None:
    """Order the providers of ``names`` after those that they need themselves."""
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
        steps[name] = step_of(name, provide, arguments)


def _arguments_of(
    name: str, provide: Provide, providers: Mapping[str, Provide], given: frozenset[str]
) -> tuple[str, ...]:
    """Return the names of a provider's parameters, without those that keep their default, having no provider."""
    dependency = provide.dependency
    if isinstance(dependency, AsyncCallable):  # `sync_to_thread`; it does not show what it wraps
        dependency = dependency.func
    try:
        parameters = inspect.signature(dependency).parameters
    except ValueError as error:
        raise WrongDependencyError(f"the parameters of the provider of {name!r} cannot be read: {error}") from None
    return tuple(
        argument
        for argument, parameter in parameters.items()
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        and (parameter.default is parameter.empty or argument in providers or argument in given)
    )
