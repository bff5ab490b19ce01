import numpy as np
import pytest

from minilm.data import Vocab
from minilm.data.tokenizer import train_char_tokenizer, train_word_tokenizer
from minilm.evaluation.names import Names

CHARS = train_char_tokenizer("ab \n")
WORDS = train_word_tokenizer("A cat sat.\nA dog sat.")
VOCAB = Vocab(["<unk>", "cat", "</s>"], default_index=0)


def test_without_a_tokenizer_nothing_has_a_name():
    names = Names()
    assert names.token(1) is None
    assert names.text([1, 2]) is None
    assert names.terms(np.ones(5, int)) == ()


def test_tokens_and_texts():
    assert Names(CHARS).token(CHARS.token_to_id("\n")) == "\n"
    assert Names(CHARS).text(CHARS.encode("a b\n").ids) == "a b\n"
    assert Names(WORDS).text(WORDS.encode("A dog sat.").ids) == "A dog sat."
    assert Names(VOCAB).token(1) == "cat"
    assert Names(VOCAB).text((1, 2)) == "cat </s>"


@pytest.mark.parametrize(
    ("tokenizer", "counted", "expected"),
    [
        (VOCAB, [0, 3, 2], ("end of sentence counted",)),
        (VOCAB, [1234, 3, 2], ("end of sentence counted", "1,234 unknown read as <unk>")),
        (VOCAB, [0, 3], ("no end of line or sentence counted",)),  # fewer ids seen than known
        (Vocab(["a", "b"]), [1, 2], ("no end of line or sentence counted",)),
        (CHARS, [0, 1, 1, 1, 1], ("end of line counted",)),
        (Vocab(["\n", "<|endoftext|>"]), [1, 1], ("end of line and end of text counted",)),
    ],
)
def test_terms(tokenizer, counted, expected):
    assert Names(tokenizer).terms(np.array(counted)) == expected


def test_a_vocabulary_cannot_encode_a_text():
    with pytest.raises(TypeError, match="read through the model's tokenizer.*got Vocab"):
        Names(VOCAB).encode("cat")
