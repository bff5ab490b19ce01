import numpy as np
import pytest

from minilm.data.stories import stories, story_nats
from minilm.training.corpus import make_corpus, source_loss


def test_the_first_nine_tenths_train_and_the_rest_validates():
    text = "abcdefghij" * 10
    corpus = make_corpus(text, "char", "letters")
    assert (len(corpus.train_ids), len(corpus.valid_ids)) == (90, 10)
    assert corpus.vocab_size == 11  # with <unk>
    assert corpus.chars_per_token == 1
    ids = np.concatenate([corpus.train_ids, corpus.valid_ids])
    assert corpus.tokenizer.decode(ids.tolist()) == text


def test_words_have_several_characters():
    corpus = make_corpus("one two three four five " * 10, "word", "numbers")
    assert len(corpus.train_ids) == 45
    assert corpus.chars_per_token == 240 / 50


@pytest.mark.parametrize(("text", "what"), [("", "is empty"), ("  \n\n ", "only white space")])
def test_an_empty_text_is_named(text, what):
    with pytest.raises(ValueError, match=f"nothing.txt .*{what}"):
        make_corpus(text, "word", "nothing.txt")


def test_an_unknown_level_is_refused_with_the_choices():
    with pytest.raises(ValueError, match="char, word, bpe; got 'byte'"):
        make_corpus("text", "byte", "text")


@pytest.mark.parametrize("level", ["char", "word"])
def test_source_loss_is_the_entropy_of_the_validation_tokens(level):
    text = stories(30_000, seed=3)
    corpus = make_corpus(text, level, "stories")
    nats = np.asarray(story_nats(text))
    start = len(text) - len(corpus.tokenizer.decode(corpus.valid_ids.tolist()))
    expected = nats[start:].sum() / len(corpus.valid_ids)
    assert source_loss(corpus, text) == pytest.approx(expected, rel=0.02)
