from itertools import pairwise
from xml.etree import ElementTree as ET

from bench.growth_chart import svg

SVG = "{http://www.w3.org/2000/svg}"
CURVES = {
    "steep": {1_000: 0.2, 1_000_000: 20.0},
    "flat": {1_000: 0.2, 1_000_000: 0.21},
    "a & b": {1_000: 0.2, 1_000_000: 0.2},
}


def curves_of(document: str) -> dict[str, tuple[list[tuple[float, float]], float]]:
    """Points of each curve and height of its title, by colour and title."""
    root = ET.fromstring(document)  # noqa: S314 - our own
    lines = {
        line.get("stroke"): [(float(x), float(y)) for x, y in (p.split(",") for p in line.get("points", "").split())]
        for line in root.iter(f"{SVG}polyline")
        if line.get("stroke-width") == "2"
    }
    titles = {text.get("fill"): text for text in root.iter(f"{SVG}text") if text.get("fill") in lines}
    return {str(titles[colour].text): (points, float(titles[colour].get("y", ""))) for colour, points in lines.items()}


def test_every_curve_ends_at_its_title_and_what_grows_rises() -> None:
    drawn = curves_of(svg(CURVES))
    assert list(drawn) == ["a & b: 0.2 ms", "flat: 0.21 ms", "steep: 20 ms"]
    (a_and_b, _), (flat, _), (steep, steep_title) = drawn.values()
    assert a_and_b[0] == flat[0] == steep[0]
    assert a_and_b[0][1] == a_and_b[1][1] > flat[1][1] > steep[1][1], "the y of a picture goes down"
    assert abs(steep_title - 4 - steep[1][1]) < 1


def test_titles_do_not_overlap() -> None:
    heights = sorted(height for _, height in curves_of(svg(CURVES)).values())
    assert min(after - before for before, after in pairwise(heights)) >= 12


def test_a_scale_has_a_line_for_each_power_of_ten() -> None:
    root = ET.fromstring(svg(CURVES))  # noqa: S314 - our own
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert {"0.1", "1", "10", "100", "1,000 rows", "1,000,000 rows"} <= set(texts)
