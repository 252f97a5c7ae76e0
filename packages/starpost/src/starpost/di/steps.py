"""Steps of a plan: the provider of each dependency, its arguments, and the way to call it."""

from collections.abc import Callable
from enum import Enum, auto
from typing import Any, NamedTuple

from litestar.di import Provide


class Kind(Enum):
    """Ways to call a provider."""

    SYNC = auto()
    """Called as it is: a class, or a function that does not wait."""
    PROVIDE = auto()
    """Awaited through Litestar's ``Provide``, which knows caching and threads."""
    GENERATOR = auto()
    ASYNC_GENERATOR = auto()


class Step(NamedTuple):
    """Step that makes one dependency."""

    name: str
    kind: Kind
    call: Callable[..., Any]
    arguments: tuple[str, ...]
    """Names of the provider's arguments; earlier steps make them."""


def step_of(name: str, provide: Provide, arguments: tuple[str, ...]) -> Step:
    """Choose the shortest way that Litestar's ``Provide`` allows."""
    if provide.has_async_generator_dependency:
        return Step(name, Kind.ASYNC_GENERATOR, provide.dependency, arguments)
    if provide.has_sync_generator_dependency:
        return Step(name, Kind.GENERATOR, provide.dependency, arguments)
    if provide.has_sync_callable and not provide.use_cache:
        return Step(name, Kind.SYNC, provide.dependency, arguments)
    return Step(name, Kind.PROVIDE, provide, arguments)
