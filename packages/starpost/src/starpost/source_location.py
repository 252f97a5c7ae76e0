"""Source location of a declaration, ``file:line``, for the messages of a start that fails and for what lists handlers.

A file below the working directory is named by its path from there, any other by its module: messages hold no path of
the machine on which they are made.
"""

import inspect
import re
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

_INSTALLED: Final = "site-packages"
"""An environment may lie below the working directory; what it holds is known by its modules."""


def location_of_caller() -> str:
    """Location two frames up: an ``__init__`` calls this to learn where its object is declared."""
    # The frames alone: `inspect.stack` also reads the source files.
    frame = inspect.currentframe()
    for _ in range(2):
        frame = frame and frame.f_back
    if frame is None:
        return "?"
    return f"{_shown(frame.f_code.co_filename, frame.f_globals.get('__name__'))}:{frame.f_lineno}"


def location_of(function: Any) -> str:
    """Return where a function is written; its name, or that of its type, if it has no source."""
    function = inspect.unwrap(function)
    module = getattr(function, "__module__", None)
    code = getattr(function, "__code__", None)
    if code is None:
        name = getattr(function, "__qualname__", type(function).__qualname__)
        return f"{module}.{name}" if module else name
    return f"{_shown(code.co_filename, module)}:{code.co_firstlineno}"


def location_of_number(number: IntEnum, name: str | None = None) -> str:
    """Return where a packet's number is written; the enumeration's name if its source cannot be found.

    Args:
        number: The number.
        name: The name, if it is not the number's first.
    """
    enumeration = type(number)
    try:
        lines, first = inspect.getsourcelines(enumeration)
        file = inspect.getfile(enumeration)
    except (OSError, TypeError):
        return f"{enumeration.__module__}.{enumeration.__qualname__}"
    written = re.compile(rf"\s*{name or number.name}\s*[:=]")
    offset = next((offset for offset, line in enumerate(lines) if written.match(line)), 0)
    return f"{_shown(file, enumeration.__module__)}:{max(first, 1) + offset}"


def _shown(file: str, module: str | None) -> str:
    path = Path(file)
    if path.is_relative_to(Path.cwd()) and _INSTALLED not in path.parts:
        return str(path.relative_to(Path.cwd()))
    return module or path.name
