import re
from xml.etree import ElementTree

import pytest

from minilm.svg import Reference, Series, line_chart, ticks


def parts(svg: str, tag: str) -> list[ElementTree.Element]:
    return [e for e in ElementTree.fromstring(svg).iter() if e.tag == tag]


def test_curves_and_references_lie_where_their_values_say():
    svg = line_chart(
        [Series("valid", [(0.0, 1.0), (1.0, 3.0), (2.0, 2.0)], dots=True)],
        [Reference("five", 2.0)],
        "epochs",
        "loss",
    )
    (line,) = parts(svg, "polyline")
    (left, low), (middle, high), (right, half) = (
        map(float, point.split(",")) for point in line.get("points").split()
    )
    assert middle - left == pytest.approx(right - middle, abs=0.2)
    assert low > half > high  # SVG counts downwards
    assert half == pytest.approx((low + high) / 2, abs=0.2)
    (reference,) = [p for p in parts(svg, "path") if p.get("class") == "reference"]
    assert float(re.search(r"M\d+ ([\d.]+)H", reference.get("d"))[1]) == half
    assert [dot.find("title").text for dot in parts(svg, "circle")][1] == "valid 3.0000 at 1"


def test_names_do_not_overlap():
    references = [Reference(f"r{k}", 1 + k / 1000) for k in range(4)]
    svg = line_chart([Series("train", [(0.0, 5.0), (1.0, 1.0)])], references, "x", "y")
    heights = sorted(
        float(t.get("y")) for t in parts(svg, "text") if t.get("class").startswith("name")
    )
    assert len(heights) == 5
    assert min(b - a for a, b in zip(heights, heights[1:], strict=False)) >= 15.9


def test_a_single_point_and_text_in_need_of_escaping():
    svg = line_chart([Series("a<b", [(1.0, 2.0)], dots=True)], [], "x & y", "<loss>")
    assert parts(svg, "text")


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 9.7, [0, 2, 4, 6, 8]),
        (0.9, 1.31, [0.9, 1, 1.1, 1.2, 1.3]),
        (-1, 1, [-1, -0.5, 0, 0.5, 1]),
    ],
)
def test_ticks_are_round(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected)
