import msgspec
from hypothesis import given
from hypothesis import strategies as st

from starpost.protocol import OffsetMeta


@given(st.integers(1, 10**6), st.integers(1, 100), st.integers(0, 10**12))
def test_pages_hold_all_items_and_no_page_is_empty(page: int, per_page: int, total: int) -> None:
    meta = OffsetMeta.of(page, per_page, total)
    assert (meta.page, meta.per_page, meta.total) == (page, per_page, total)
    assert (meta.pages - 1) * per_page < total <= meta.pages * per_page or (total, meta.pages) == (0, 0)


def test_an_exact_total_is_not_said_to_be_exact() -> None:
    exact = {"page": 1, "per_page": 20, "total": 50, "pages": 3}
    assert msgspec.to_builtins(OffsetMeta.of(1, 20, 50)) == exact
    estimated = msgspec.to_builtins(OffsetMeta.of(1, 20, 50, total_is_exact=False))
    assert estimated == {**exact, "total_is_exact": False}
