"""Parameters of a function that is called by name."""

import inspect
from collections.abc import Callable
from typing import Any, Final

_NAMED: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def parameters_of(function: Callable[..., Any]) -> tuple[tuple[str, ...], list[str]]:
    """Return the names of the parameters, and the reasons for which the function cannot be called by them."""
    try:
        signature = inspect.signature(function).parameters.values()
    except (TypeError, ValueError) as error:
        return (), [f"its parameters cannot be read: {error}"]
    names = tuple(parameter.name for parameter in signature if parameter.kind in _NAMED)
    if len(names) < len(signature):
        return names, ["takes named parameters only, no `*`, no `**` and nothing before `/`"]
    return names, []
