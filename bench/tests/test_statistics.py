import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.statistics import Spread, paired_ratio, percentile

values = st.lists(st.floats(min_value=0.001, max_value=1e9), min_size=1, max_size=50)


@given(values)
def test_a_spread_holds_its_median(found: list[float]) -> None:
    spread = Spread.of(found)
    assert spread.smallest <= spread.median <= spread.largest


def test_a_ratio_is_taken_round_by_round() -> None:
    # The second round was disturbed on both sides alike.
    assert paired_ratio([90, 9, 95], [100, 10, 100]) == Spread(0.9, 0.9, 0.95)


@pytest.mark.parametrize(("ours", "theirs"), [([1.0], [1.0, 2.0]), ([], []), ([1.0], [0.0])])
def test_a_ratio_of_what_cannot_be_compared(ours: list[float], theirs: list[float]) -> None:
    with pytest.raises(ValueError, match=r"round|zero"):
        paired_ratio(ours, theirs)


def test_percentiles_by_nearest_rank() -> None:
    hundred = [float(number) for number in range(100, 0, -1)]
    assert percentile(hundred, 0.5) == 50
    assert percentile(hundred, 0.99) == 99
    assert percentile(hundred, 1) == 100
    assert percentile([7.0], 0.01) == 7


@given(values, st.floats(min_value=0.01, max_value=1))
def test_a_percentile_is_one_of_the_values_and_few_are_above(found: list[float], share: float) -> None:
    value = percentile(found, share)
    assert value in found
    assert sum(other > value for other in found) <= (1 - share) * len(found) + 1e-9


@pytest.mark.parametrize(("found", "share"), [([], 0.5), ([1.0], 0.0), ([1.0], 1.1)])
def test_no_percentile(found: list[float], share: float) -> None:
    with pytest.raises(ValueError, match="percentile"):
        percentile(found, share)
