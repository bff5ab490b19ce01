from html.parser import HTMLParser

import pytest

from minilm.svg import Reference
from minilm.training import History
from minilm.training.curves import CURVE_POINTS, thinned
from minilm.training.report import Report


def made_history(epochs: int = 3, steps: int = 100) -> History:
    history = History(steps)
    for k in range(1, epochs + 1):
        for step in range(steps):
            history.add_step(4 - (k * steps + step) / 100, 0.5, 1e-3, 10, 0.01)
        history.add_record(k, steps * k, {"loss": 3 / k, "perplexity": 2.5})
    return history


HISTORY = made_history()


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
    history = History(100)
    history.add_step(3.0, 0.5, 1e-3, 10, 0.01)
    history.interrupted = True
    page = report(history=history, references=[], samples={})
    Outline(page)
    assert "<h2>Epochs" not in page
    assert "<h2>What it writes" not in page


def test_a_report_is_written_as_utf8(tmp_path):
    Report("naïve", "", HISTORY, [], {}, {}, {}).write(tmp_path / "report.html")
    assert "naïve" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_long_runs_are_thinned_to_means():
    points = thinned([float(k) for k in range(1000)], 100)
    assert len(points) == CURVE_POINTS
    assert points[0] == (0.025, 2.0)
    assert points[-1][0] == pytest.approx(9.975)
