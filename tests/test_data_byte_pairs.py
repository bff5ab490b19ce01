import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference.tokenizer_cases import SENTENCES, TEXTS
from tokenizers import Tokenizer, normalizers

from minilm.data import encode_text, train_bpe_tokenizer
from minilm.data.byte_pairs import encode_byte_pairs
from minilm.tokenization import PreTrainedTokenizerFast
from minilm.training.corpus import TOKENIZERS, make_corpus

any_text = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.fixture(scope="module")
def tokenizer():
    return train_bpe_tokenizer(SENTENCES, 300)


def test_bytes_then_what_is_frequent(tokenizer):
    vocab = tokenizer.get_vocab()
    assert (vocab["<|endoftext|>"], len(vocab)) == (0, 300)
    assert sorted(len(token) for token in vocab)[:256] == [1] * 256
    assert tokenizer.encode(" the cat").tokens == ["Ġthe", "Ġcat"]
    # "e" and "r" stand together nowhere, so no token holds them.
    assert not [token for token in vocab if "er" in token]


@given(any_text)
def test_every_text_comes_back(tokenizer, text):
    assert tokenizer.decode(encode_text(tokenizer, text)) == text


def test_the_same_text_gives_the_same_tokenizer(tokenizer):
    assert train_bpe_tokenizer(SENTENCES, 300).to_str() == tokenizer.to_str()
    assert Tokenizer.from_str(tokenizer.to_str()).get_vocab() == tokenizer.get_vocab()


def test_a_short_text_gives_fewer_tokens():
    assert train_bpe_tokenizer("abab", 8000).get_vocab_size() == 257 + 1
    assert train_bpe_tokenizer("abab", 8000, min_frequency=3).get_vocab_size() == 257


@pytest.mark.parametrize(
    ("text", "size", "message"),
    [("", 300, "empty text"), ("a", 256, "at least 257, for the bytes and .*; got 256")],
)
def test_what_cannot_be_made(text, size, message):
    with pytest.raises(ValueError, match=message):
        train_bpe_tokenizer(text, size)


def test_pieces_give_the_ids_of_the_whole(tokenizer):
    text = "".join(f"{text} the cat, and it  sat\n\nOn the mat" * 60 for text in TEXTS)
    expected = tokenizer.encode(text).ids
    assert encode_byte_pairs(tokenizer, text).tolist() == expected
    assert encode_text(tokenizer, text).tolist() == expected
    assert (
        encode_text(PreTrainedTokenizerFast(tokenizer_object=tokenizer), text).tolist() == expected
    )
    assert encode_byte_pairs(tokenizer, "").tolist() == []


def test_what_does_more_is_not_cut(tokenizer):
    other = Tokenizer.from_str(tokenizer.to_str())
    other.normalizer = normalizers.Strip()
    assert encode_byte_pairs(other, "a") is None
    spaced = Tokenizer.from_str(tokenizer.to_str())
    spaced.add_tokens(["cat sat"])
    text = "the cat sat. " * 4000
    assert encode_text(spaced, text).tolist() == spaced.encode(text).ids


def test_a_corpus_of_byte_pairs():
    assert TOKENIZERS["bpe"] is train_bpe_tokenizer
    corpus = make_corpus(SENTENCES, "bpe", "the cat")
    assert corpus.vocab_size > 257 and corpus.chars_per_token > 2
    ids = [*corpus.train_ids, *corpus.valid_ids]
    assert corpus.tokenizer.decode(ids) == SENTENCES
