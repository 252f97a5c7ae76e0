from hypothesis import given
from hypothesis import strategies as st

from starpost.protocol import OffsetMeta


@given(st.integers(1, 10**6), st.integers(1, 100), st.integers(0, 10**12))
def test_pages_hold_all_items_and_no_page_is_empty(page: int, per_page: int, total: int) -> None:
    meta = OffsetMeta.of(page, per_page, total)
    assert (meta.page, meta.per_page, meta.total) == (page, per_page, total)
    assert (meta.pages - 1) * per_page < total <= meta.pages * per_page or (total, meta.pages) == (0, 0)
