"""Names of the parameters of what is declared, and functions that cannot be called by them."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from starpost.di import parameters_of


def named(a: int, b: int = 2, *, c: int) -> int:
    return a + b + c


class Callee:
    def __call__(self, a: int) -> int:
        return a

    def method(self, b: int) -> int:
        return b


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (named, ("a", "b", "c")),
        (partial(named, 1), ("b", "c")),
        (Callee(), ("a",)),
        (Callee().method, ("b",)),
        (lambda: None, ()),
    ],
)
def test_names_in_their_order(function: Callable[..., Any], names: tuple[str, ...]) -> None:
    assert parameters_of(function) == (names, [])


@pytest.mark.parametrize(
    "function",
    [lambda a, *rest: (a, rest), lambda a, **rest: (a, rest), lambda b, /, a: (a, b)],
    ids=["*", "**", "before /"],
)
def test_only_named_parameters(function: Callable[..., Any]) -> None:
    names, (fault,) = parameters_of(function)
    assert names == ("a",)
    assert fault.startswith("takes named parameters only")


@pytest.mark.parametrize("function", ["admin", int], ids=["no function", "without a signature"])
def test_what_cannot_be_seen(function: Any) -> None:
    names, (fault,) = parameters_of(function)
    assert names == ()
    assert fault.startswith("its parameters cannot be read: ")
