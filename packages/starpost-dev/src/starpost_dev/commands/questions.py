"""Answers for a command, from its options or from the user."""

import sys
from collections.abc import Callable, Collection, Mapping
from typing import TypeVar

from starpost_dev.scaffold import ScaffoldError

T = TypeVar("T")


class Questions:
    """Answers from the options, or from the user where an option is missing.

    Args:
        options: By name; ``None`` where the command line says nothing.
        required: Options that make a command line complete. With them given, nothing is asked: missing options have
            their defaults.
    """

    def __init__(self, options: Mapping[str, str | None], required: Collection[str]) -> None:
        self._options = options
        self._is_asking = any(options[name] is None for name in required)

    def ask(self, name: str, question: str, parse: Callable[[str], T], default: str | None = None) -> T:
        """Return one answer.

        Raises:
            ScaffoldError: An option is invalid, or there is no terminal to ask on.
        """
        given = self._options[name]
        if given is not None:
            return parse(given)
        if default is not None and not self._is_asking:
            return parse(default)
        hint = f" [{default}]" if default else ""
        while True:
            print(f"{question}{hint}: ", end="", file=sys.stderr, flush=True)
            answer = sys.stdin.readline()
            if not answer:
                print(file=sys.stderr)
                raise ScaffoldError(f"no answer; use --{name}")
            try:
                return parse(answer.strip() or default or "")
            except ScaffoldError as error:
                print(f"  {error}", file=sys.stderr)
