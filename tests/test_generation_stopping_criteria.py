import time

import numpy as np
import pytest

from minilm.data.tokenizer import train_char_tokenizer, train_word_tokenizer
from minilm.generation import (
    EosTokenCriteria,
    MaxLengthCriteria,
    MaxTimeCriteria,
    StoppingCriteriaList,
    StopStringCriteria,
)

IDS = np.array([[-1, 1, 2], [3, 4, 5]])


def test_lengths_ids_and_time():
    assert MaxLengthCriteria(3)(IDS).tolist() == [True, True]
    assert MaxLengthCriteria(4)(IDS).tolist() == [False, False]
    assert EosTokenCriteria(2)(IDS).tolist() == [True, False]
    assert EosTokenCriteria([2, 5])(IDS).tolist() == [True, True]
    assert EosTokenCriteria(4)(IDS).tolist() == [False, False]
    assert MaxTimeCriteria(60)(IDS).tolist() == [False, False]
    assert MaxTimeCriteria(1, time.monotonic() - 2)(IDS).tolist() == [True, True]


def test_one_of_a_list_is_enough():
    criteria = StoppingCriteriaList([EosTokenCriteria(2), lambda ids, scores: [False, True]])
    assert criteria(IDS).tolist() == [True, True]
    assert StoppingCriteriaList([lambda ids, scores: True])(IDS).tolist() == [True, True]
    assert StoppingCriteriaList()(IDS).tolist() == [False, False]


def ends(tokenizer, strings, text) -> bool:
    ids = np.array([[-1, *tokenizer.encode(text).ids]])
    return bool(StopStringCriteria(tokenizer, strings)(ids)[0])


TEXT = "stop here. a stopper naïve “stop” topstop\n\n"


@pytest.mark.parametrize(
    ("strings", "text", "expected"),
    [
        ("stop", "a stop", True),
        ("stop", "a sto", False),
        ("stop", "a stop ", False),  # it was complete a token ago
        (["x", "here."], "stop here.", True),
        ("naïve", "a naïve", True),
        ("\n\n", "stop\n\n", True),
        ("\n\n", "stop\n", False),
        ("p", "stop", True),
    ],
)
def test_strings_end_a_text_with_the_character_that_completes_them(strings, text, expected):
    assert ends(train_char_tokenizer(TEXT), strings, text) == expected


@pytest.mark.parametrize(
    ("strings", "text", "expected"),
    [
        ("stop", "a stop", True),
        ("stop", "a stopper", True),  # it goes on behind the string
        ("a stop", "a stopper", True),
        ("stop", "a topstop", True),
        ("stop", "a stop here", False),
        ("stop here.", "stop here.", True),
        ("stop", "here", False),
    ],
)
def test_strings_may_begin_and_end_within_words(strings, text, expected):
    assert ends(train_word_tokenizer(TEXT), strings, text) == expected


def test_bytes_of_a_character_do_not_hide_a_string():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    assert ends(tokenizer, "“", "a “")  # of three bytes
    assert ends(tokenizer, "b“", "b“")
    assert not ends(tokenizer, "“", "“a")


def test_an_empty_string_is_refused():
    with pytest.raises(ValueError, match="a stop string is empty"):
        StopStringCriteria(None, ["a", ""])
