import doctest
import importlib
import json

import numpy as np
import pytest

from minilm.data.tokenizer import train_char_tokenizer
from minilm.evaluation import Copied, memorisation
from minilm.json_text import to_json

TRAINING = "It was the best of times, it was the worst of times."
TOKENIZER = train_char_tokenizer(TRAINING + "xyz")


def test_what_was_copied_by_hand():
    report = memorisation("xx was the bestzz", TRAINING, tokenizer=TOKENIZER)
    assert report.generated == Copied(
        tokens=17,
        longest=13,
        start=2,
        source=2,
        span=" was the best",
        ngrams=10,
        new=4,  # two that begin before the span, two that end after it
    )
    assert report.generated.new_share == 0.4
    assert report.held_out is None


def test_ids_need_no_tokenizer():
    report = memorisation([1, 2, 3, 4, 9], np.arange(6, dtype=np.uint16), n=2)
    assert report.generated == Copied(5, 4, 0, 1, None, 4, 1)


def test_held_out_text_is_cut_to_the_length_of_what_was_written():
    held_out = "the worst" + TRAINING
    report = memorisation("zzzzzzzzz", TRAINING, held_out=held_out, tokenizer=TOKENIZER)
    assert report.held_out.tokens == 9
    assert report.held_out.longest == 9
    assert report.generated.longest == 0
    assert report.generated.new_share == 1.0


def test_it_says_so():
    report = memorisation(
        "xx was the bestzz", TRAINING, held_out="zz was the zzzzzzzz", tokenizer=TOKENIZER
    )
    assert str(report).splitlines() == [
        "written   17 tokens: longest span copied 13, 40.0% of 8-grams new",
        "held out  17 tokens: longest span copied 9, 80.0% of 8-grams new",
        "The longest span begins at token 2 of what was written, and at token 2 of the training "
        "text:",
        "' was the best'",
    ]
    assert len(str(memorisation([9] * 8, [1] * 8)).splitlines()) == 1


def test_all_figures_as_json():
    values = json.loads(to_json(memorisation([1, 2], [2, 3], held_out=[2, 3], n=2).to_dict()))
    assert values["generated"]["new_share"] == 1.0
    assert values["held_out"]["new_share"] == 0.0
    assert json.loads(to_json(memorisation([1], [2], n=1).to_dict()))["held_out"] is None


@pytest.mark.parametrize("name", ["generated", "training", "held_out"])
def test_a_text_shorter_than_an_ngram(name):
    texts = {"generated": range(20), "training": range(20), "held_out": range(20), name: [1, 2]}
    with pytest.raises(ValueError, match=rf"{name}: .*at least the 8 of one n-gram.*\(2,\)"):
        memorisation(**texts)


def test_what_is_refused():
    with pytest.raises(TypeError, match="read through the model's tokenizer"):
        memorisation("a text", [1, 2, 3])
    with pytest.raises(TypeError, match="training: token ids are whole numbers"):
        memorisation(range(9), np.zeros(9))
    with pytest.raises(ValueError, match="n must be a whole number from 1 on, got 0"):
        memorisation(range(9), range(9), n=0)


def test_the_examples_are_true():
    module = importlib.import_module("minilm.evaluation.memorisation")
    assert doctest.testmod(module) == (0, 2)
