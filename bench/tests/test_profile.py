import cProfile

import pytest

from bench.cases import CASES
from bench.profile import KINDS, by_step, step_of


@pytest.mark.parametrize(
    ("file", "step"),
    [
        ("/x/packages/starpost/src/starpost/connections/outbox.py", "outbox: hand the reply over"),
        ("/x/packages/starpost/src/starpost/connections/connection.py", "connection: read, size, order, deadline"),
        ("/x/packages/starpost/src/starpost/packets/dispatcher.py", "dispatcher: find, permit, decode, encode"),
        ("/x/site-packages/uvloop/__init__.py", "other libraries and event loop"),
        ("/x/site-packages/litestar/routes/http.py", "Litestar"),
        ("/x/packages/starpost/src/starpost/auth/middleware.py", "authentication"),
        ("/x/packages/starpost/src/starpost/auth/redaction.py", "access log"),
        ("/x/packages/starpost/src/starpost/http/handlers.py", "route handler: parameters, encode"),
        ("/x/bench/authors.py", "the domain's handler and service"),
        ("/x/bench/profile.py", ""),
        ("/x/bench/in_process.py", ""),
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
    assert set(by_step(profiler)) == {"other libraries and event loop"}


def test_what_is_profiled_is_a_case_of_the_bench() -> None:
    assert {kind.case for kind in KINDS} <= CASES.keys()
