from bench.growth import CASES, REFUSED, costly, measure, report


async def test_every_case_is_measured_at_every_size() -> None:
    curves = await measure((10, 1_000), times=2)
    assert curves.keys() == CASES.keys()
    assert all(curve.keys() == {10, 1_000} and min(curve.values()) > 0 for curve in curves.values())
    assert costly(curves).keys() == CASES.keys() - {REFUSED}


def test_the_report_has_the_growth() -> None:
    lines = report({"first page": {1_000: 0.25, 1_000_000: 0.5}}).splitlines()
    assert lines[0] == "| milliseconds | 1,000 rows | 1,000,000 rows | growth |"
    assert lines[2] == "| first page | 0.25 | 0.50 | 2.0 times |"
