"""Dependencies of one call: made before it, finished after it.

Generators are resumed last first: normally on success, with the error thrown in otherwise. They end before the reply
is sent, so that what a reply reports has been committed.
"""

from collections.abc import AsyncGenerator, Generator
from types import AsyncGeneratorType
from typing import Any, Final

from starpost.di.steps import Kind, Step

_ENDED: Final = object()
_NOTHING: Final[dict[str, Any]] = {}
# Names of the module: reaching into an enumeration costs as much as a provider that only hands something out.
_SYNC: Final = Kind.SYNC
_PROVIDE: Final = Kind.PROVIDE
_ASYNC_GENERATOR: Final = Kind.ASYNC_GENERATOR


class Resolution:
    """Async context manager around one call; it gives the arguments.

    A provider that fails undoes those before it, and nothing is left open.

    Args:
        steps: Providers, each behind those that it needs.
        wanted: Names of the function's arguments.
        values: The given values; provided ones are added.
    """

    __slots__ = ("_generators", "_steps", "_values", "_wanted")

    def __init__(self, steps: tuple[Step, ...], wanted: tuple[str, ...], values: dict[str, Any]) -> None:
        self._steps = steps
        self._wanted = wanted
        self._values = values
        self._generators: list[Any] = []

    async def __aenter__(self) -> dict[str, Any]:
        values = self._values
        try:
            for name, kind, call, argument_names in self._steps:
                arguments = {argument: values[argument] for argument in argument_names} if argument_names else _NOTHING
                if kind is _SYNC:
                    values[name] = call(**arguments)
                elif kind is _PROVIDE:
                    values[name] = await call(**arguments)
                elif kind is _ASYNC_GENERATOR:
                    generator: AsyncGenerator[Any, None] = call(**arguments)
                    values[name] = await anext(generator)
                    self._generators.append(generator)
                else:
                    sync_generator: Generator[Any, None, None] = call(**arguments)
                    values[name] = next(sync_generator)
                    self._generators.append(sync_generator)
        except BaseException as error:
            await self.undo(error)
            raise
        return {name: values[name] for name in self._wanted}

    async def __aexit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is not None:
            await self.undo(error)
        generators = self._generators
        while generators:
            generator = generators.pop()
            try:
                if isinstance(generator, AsyncGeneratorType):
                    has_ended = await anext(generator, _ENDED) is _ENDED
                else:
                    has_ended = next(generator, _ENDED) is _ENDED
                if not has_ended:
                    await _close(generator)
            except BaseException as failure:
                # A generator failed: the remaining ones are undone.
                await self.undo(failure)
                raise

    async def undo(self, error: BaseException) -> None:
        """Throw ``error`` into the generators, last first. They may clean up, but cannot suppress it.

        Called inside the context, it ends them early, so that none is left to finish.

        Raises:
            BaseException: An error that a generator raised instead of ``error``, after all have ended.
        """
        another: BaseException | None = None
        while self._generators:
            generator = self._generators.pop()
            try:
                if isinstance(generator, AsyncGeneratorType):
                    await generator.athrow(error)
                else:
                    generator.throw(error)
                await _close(generator)
            except (StopIteration, StopAsyncIteration):
                continue
            except BaseException as raised:  # noqa: BLE001 - the others have to end first; raised below
                if raised is not error:
                    another = raised
        if another is not None:
            raise another from error


async def _close(generator: Any) -> None:
    """Close a generator that yields again where it had to end, so that its resources do not wait for the collector.

    Raises:
        RuntimeError: Always.
    """
    if isinstance(generator, AsyncGeneratorType):
        await generator.aclose()
    else:
        generator.close()
    raise RuntimeError(f"the dependency {generator.__qualname__} yields more than once")
