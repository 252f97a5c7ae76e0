from xml.etree import ElementTree as ET

import pytest

from bench.chart import Bar, bars, svg
from bench.measurement import Goal
from bench.runner import Outcome
from bench.statistics import Spread
from bench.tests.outcomes import case, outcome

SVG = "{http://www.w3.org/2000/svg}"


def test_the_chart_is_an_svg_document_with_every_bar() -> None:
    shown = bars([outcome([90, 95], [100, 100], goal=Goal(0.9)), outcome([50], [100], name="a & b")])
    root = ET.fromstring(svg(shown))  # noqa: S314 - our own
    assert root.tag == f"{SVG}svg"
    texts = [text.text or "" for text in root.iter(f"{SVG}text")]
    assert "the case <trivial> (packets/s)" in texts
    assert "the case <a & b> (packets/s)" in texts
    assert "0.93" in texts or "0.92" in texts
    # The ground, and one for each bar.
    assert len(list(root.iter(f"{SVG}rect"))) == 3


def test_a_longer_ratio_is_a_longer_bar_within_the_picture() -> None:
    root = ET.fromstring(svg([Bar("short", Spread(0.5, 0.4, 0.6)), Bar("long", Spread(3.0, 2.0, 4.0))]))  # noqa: S314 - our own
    ground, short, long = root.iter(f"{SVG}rect")
    assert float(long.get("width", "")) == pytest.approx(6 * float(short.get("width", "")), rel=0.01)
    assert float(long.get("x", "")) + float(long.get("width", "")) < float(ground.get("width", ""))


def test_the_colour_says_whether_the_goal_is_reached() -> None:
    reached, missed = Bar("", Spread(0.9, 0.9, 0.9), 0.9), Bar("", Spread(0.8, 0.8, 0.8), 0.9)
    lower = Bar("", Spread(1.2, 1.2, 1.2), 1.3, is_minimum=False)
    assert reached.colour == lower.colour
    assert len({reached.colour, missed.colour, Bar("", Spread(1, 1, 1)).colour}) == 3


def test_what_has_no_ratio_has_no_bar() -> None:
    assert bars([Outcome(case(), fault="failed")]) == []
    ET.fromstring(svg([]))  # noqa: S314 - our own
