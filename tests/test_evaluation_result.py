import json
import math

import pytest

from minilm.evaluation import CalibrationBin, Detail, Evaluation, TokenCost, gap
from minilm.evaluation.html import evaluation_html
from minilm.json_text import to_json

BINS = (
    CalibrationBin(0.0, 0.5, 3, 0.4, 0.0),
    CalibrationBin(0.5, 0.75, 0, math.nan, math.nan),
    CalibrationBin(0.75, 1.0, 1, 0.9, 1.0),
)
DETAIL = Detail(0.25, 0.5, BINS, (TokenCost(7, "\n", 4, 2.0),), ())


def test_perplexity_and_bits():
    reached = Evaluation(loss=math.log(8), tokens=10)
    assert reached.perplexity == pytest.approx(8)
    assert reached.bits_per_char(1.0) == pytest.approx(3)
    assert reached.bits_per_char(6.0) == pytest.approx(0.5)
    assert reached.bits_per_byte(6.0) == pytest.approx(0.5)
    assert Evaluation(loss=1e4, tokens=1).perplexity == math.inf


def test_what_is_given_comes_before_what_is_known():
    reached = Evaluation(math.log(8), 10, chars_per_token=2.0, bytes_per_token=3.0)
    assert reached.bits_per_char() == pytest.approx(1.5)
    assert reached.bits_per_byte() == pytest.approx(1.0)
    assert reached.bits_per_char(1.0) == pytest.approx(3)


@pytest.mark.parametrize(("unit", "what"), [("char", "characters"), ("byte", "bytes")])
def test_bits_of_an_unknown_text(unit, what):
    with pytest.raises(ValueError, match=f"how many {what} a token has is not known"):
        getattr(Evaluation(1.0, 10), f"bits_per_{unit}")()


def test_gap_says_which_way():
    assert gap(1.0, 1.25) == "0.2500 below"
    assert gap(1.5, 1.25) == "0.2500 above"


def test_the_terms_are_said():
    reached = Evaluation(math.log(21.34), 245_569, ("end of sentence counted", "stride 512"))
    said = "perplexity 21.34 over 245,569 tokens, end of sentence counted, stride 512"
    assert str(reached) == said


@pytest.mark.parametrize(
    "name", "accuracy top5_accuracy calibration_error calibration costliest worst".split()
)
def test_what_was_not_measured_says_how_it_would_be(name):
    with pytest.raises(AttributeError, match=rf"{name} was not measured.*detail=True"):
        getattr(Evaluation(1.0, 10), name)
    assert not hasattr(Evaluation(1.0, 10), name)
    assert getattr(Evaluation(1.0, 10, detail=DETAIL), name) == getattr(DETAIL, name)


def test_calibration_error_by_hand():
    # Of four predictions three are off by 0.4 and one by 0.1; the empty bin does not count.
    assert DETAIL.calibration_error == pytest.approx((3 * 0.4 + 1 * 0.1) / 4)


def test_all_figures_as_json():
    bare = Evaluation(1.0, 10).to_dict()
    assert list(bare) == ["loss", "perplexity", "tokens", "terms"]
    reached = Evaluation(1.0, 10, ("a term",), 2.0, 3.0, DETAIL)
    values = json.loads(to_json(reached.to_dict()))
    assert values["bits_per_byte"] == pytest.approx(1 / math.log(2) / 3)
    assert values["calibration_error"] == pytest.approx(0.325)
    assert values["calibration"][1]["accuracy"] is None
    assert values["costliest"] == [{"token": 7, "text": "\n", "count": 4, "nats": 2.0, "mean": 0.5}]


def test_it_shows_itself_in_a_notebook():
    reached = Evaluation(1.0, 10, ("a < b",))
    assert reached._repr_html_() == evaluation_html(reached)
    assert "a &lt; b" in reached._repr_html_()
