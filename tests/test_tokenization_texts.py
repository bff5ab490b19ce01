import numpy as np
import pytest

from minilm.tokenization.texts import read_texts


@pytest.mark.parametrize(
    ("text", "pair", "words", "samples", "batched"),
    [
        ("a", None, False, ["a"], False),
        (["a", "b"], None, False, ["a", "b"], True),
        (("a",), None, False, ["a"], True),
        (np.array(["a", "b"]), None, False, ["a", "b"], True),
        ("a", "b", False, [("a", "b")], False),
        (["a", "c"], ["b", "d"], False, [("a", "b"), ("c", "d")], True),
        ([("a", "b"), "c"], None, False, [("a", "b"), "c"], True),
        (["a", "b"], None, True, [["a", "b"]], False),
        ([["a", "b"], ["c"]], None, True, [["a", "b"], ["c"]], True),
        (["a", "b"], ["c"], True, [(["a", "b"], ["c"])], False),
        ([], None, False, [], True),
    ],
)
def test_samples(text, pair, words, samples, batched):
    assert read_texts(text, pair, words) == (samples, batched)


@pytest.mark.parametrize(
    ("text", "pair", "words", "message"),
    [
        (3, None, False, "a text or a list of texts; got int"),
        (None, None, False, "got NoneType"),
        (["a", None], None, False, "text 1: expected a text, got NoneType.*misses values"),
        (["a", float("nan")], None, False, "text 1: expected a text, got float.*misses values"),
        (["a", 7], None, False, r"text 1: expected a text, got int \(7\)"),
        (["a"], [1], False, "text_pair 0: expected a text, got int"),
        ("a", 1, False, "text_pair: expected a text"),
        ("a b", None, True, "expected a list of words, got str"),
    ],
)
def test_what_is_no_text(text, pair, words, message):
    with pytest.raises(TypeError, match=message):
        read_texts(text, pair, words)


@pytest.mark.parametrize(("pair", "got"), [(["b"], "got 1"), ("b", "one that is no list")])
def test_as_many_second_texts_as_first_ones(pair, got):
    with pytest.raises(
        ValueError, match=f"a batch of 2 texts takes as many in text_pair; {got}|{got}"
    ):
        read_texts(["a", "c"], pair, False)
