import cProfile

import pytest

from bench.profile import by_step, step_of


@pytest.mark.parametrize(
    ("file", "step"),
    [
        ("/x/app/framework/connections/outbox.py", "outbox: hand the reply over"),
        ("/x/app/framework/connections/connection.py", "connection: read, size, order, deadline"),
        ("/x/app/framework/packets/dispatcher.py", "dispatcher: find, permit, decode, encode"),
        ("/x/site-packages/uvloop/__init__.py", "libraries and event loop"),
        ("/x/bench/profile.py", ""),
    ],
)
def test_a_file_belongs_to_a_step(file: str, step: str) -> None:
    assert step_of(file) == step


def test_time_in_c_counts_for_the_caller() -> None:
    profiler = cProfile.Profile()
    profiler.enable()
    sorted(range(100_000), key=lambda number: -number)
    profiler.disable()
    # All of it was called from this file, which is none of the steps.
    assert set(by_step(profiler)) == {"libraries and event loop"}
