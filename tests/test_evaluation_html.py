import re
from xml.etree import ElementTree

import pytest

from minilm.evaluation import CalibrationBin, Detail, Evaluation, Surprise, TokenCost
from minilm.evaluation.html import evaluation_html, reliability_diagram

BINS = tuple(
    CalibrationBin(k / 4, (k + 1) / 4, count, confidence, accuracy)
    for k, (count, confidence, accuracy) in enumerate(
        [(2, 0.2, 0.5), (0, float("nan"), float("nan")), (4, 0.6, 0.25), (1, 0.9, 1.0)]
    )
)
WORST = Surprise(9.5, 3, " <", None, 17, (1, 2), "\na", 0, None, 0.875)
DETAIL = Detail(0.5, 0.75, BINS, (TokenCost(3, " <", 1200, 600.0),), (WORST,))


def elements(html: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(html).iter())  # and it is well-formed


def cells(html: str) -> list[list[str]]:
    rows = [one for one in elements(html) if one.tag == "tr"]
    return [["".join(cell.itertext()) for cell in row] for row in rows]


def test_figures_and_terms():
    shown = evaluation_html(Evaluation(1.0, 12345, ("stride 512",), 4.0, 5.0))
    assert cells(shown) == [
        ["loss, nats a token", "1.0000"],
        ["perplexity", "2.7183"],
        ["tokens", "12,345"],
        ["bits a character", "0.3607"],
        ["bits a byte", "0.2885"],
    ]
    assert "perplexity 2.718 over 12,345 tokens, stride 512" in shown
    assert "<svg" not in shown


def test_detail_shows_tokens_with_their_spaces():
    rows = cells(evaluation_html(Evaluation(1.0, 7, detail=DETAIL)))
    assert ["accuracy", "50.00%"] in rows
    assert ["calibration error", "30.00%"] in rows  # (2 x 0.3 + 4 x 0.35 + 1 x 0.1) / 7
    assert [" <", "1,200", "600.0", "0.500"] in rows
    assert ["9.50", "\\na", " <", "0 (88%)"] in rows


def test_the_page_needs_no_network_and_no_script():
    page = evaluation_html(Evaluation(1.0, 7, detail=DETAIL))
    assert not re.search(r"http|<script|@import|<link", page)
    for rule in re.findall(r"^(.*) \{", page, re.MULTILINE):
        assert rule.startswith(".minilm "), "the page around it keeps its look"


def test_the_diagram_has_a_dot_for_each_bin_that_holds_something():
    dots = [one for one in elements(reliability_diagram(BINS)) if one.tag == "circle"]
    titles = [dot.find("title").text for dot in dots]
    assert titles == ["model 0.5000 at 0.2", "model 0.2500 at 0.6", "model 1.0000 at 0.9"]
    x, y = ([float(dot.get(name)) for dot in dots] for name in ("cx", "cy"))
    assert (x[1] - x[0]) / (x[2] - x[0]) == pytest.approx(4 / 7, abs=1e-2)
    assert (y[0] - y[1]) / (y[2] - y[1]) == pytest.approx(1 / 3, abs=1e-2)
