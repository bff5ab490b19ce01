import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from minilm.svg import Reference, Series, line_chart, ticks
from minilm.training import EpochRecord, History
from minilm.training.report import CURVE_POINTS, Report, _thinned

RECORDS = [EpochRecord(k, 100 * k, 2 / k, 3 / k, 2.5, 1e-3, 12345.0, 9.0) for k in (1, 2, 3)]
HISTORY = History(100, RECORDS, [4 - k / 100 for k in range(300)])


def report(**changes) -> str:
    parts = {
        "title": "text.txt: LSTM",
        "lead": "A sentence.",
        "history": HISTORY,
        "references": [Reference("5-gram", 1.5), Reference("best possible", 0.5)],
        "settings": {"lr": 0.01, "batch_size": 16},
        "environment": {"Python": "3.13"},
        "samples": {"temperature 0.8": "Once <b>upon</b> & a time\nthere"},
    }
    return Report(**{**parts, **changes}).html()


class Outline(HTMLParser):
    """Checks that tags are closed in order, and notes what they are."""

    EMPTY = {"meta"}

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.links: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.seen.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href")]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attributes):
        self.seen.append(tag)


def test_the_page_is_whole_and_needs_no_network():
    page = report()
    outline = Outline(page)
    assert {"style", "svg", "table", "h1"} <= set(outline.seen)
    assert "script" not in outline.seen
    assert outline.links == []
    assert "http" not in page
    assert "@import" not in page
    assert "url(" not in page.replace("url(#inside)", "")


def test_it_shows_losses_settings_samples_and_environment():
    page = report()
    for shown in ("1.0000", "1.5000", "5-gram", "best possible", "batch size", "3.13"):
        assert shown in page
    assert "validation is 0.5000 below" in page  # the 5-gram
    assert "validation is 0.5000 above" in page  # the best possible
    assert "Once &lt;b&gt;upon&lt;/b&gt; &amp; a time\nthere" in page
    assert page.count("<tr><td>") == 3  # a row an epoch


def test_it_follows_the_readers_choice_of_light_and_dark():
    assert "prefers-color-scheme: dark" in report()


def test_a_run_cut_short_has_a_report_too():
    history = History(100, [], [3.0, 2.0], interrupted=True)
    page = report(history=history, references=[], samples={})
    Outline(page)
    assert "<h2>Epochs" not in page
    assert "<h2>What it writes" not in page


def test_a_report_is_written_as_utf8(tmp_path):
    Report("naïve", "", HISTORY, [], {}, {}, {}).write(tmp_path / "report.html")
    assert "naïve" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_long_runs_are_thinned_to_means():
    points = _thinned([float(k) for k in range(1000)], 100)
    assert len(points) == CURVE_POINTS
    assert points[0] == (0.025, 2.0)
    assert points[-1][0] == pytest.approx(9.975)


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
