import numpy as np
import pytest
from tokenization_helpers import byte_pairs, word_pieces

import minilm


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return byte_pairs(tmp_path_factory.mktemp("t"))


def test_ids_in_any_form(tokenizer):
    ids = tokenizer.encode("the cat sat")
    for form in (ids, tuple(ids), np.array(ids), minilm.tensor(ids), list(map(np.int64, ids))):
        assert tokenizer.decode(form) == "the cat sat"
    assert tokenizer.decode(tokenizer("the cat sat")) == "the cat sat"
    assert tokenizer.decode(ids[0]) == tokenizer.decode(np.int64(ids[0])) == "the"
    assert tokenizer.decode([]) == ""
    for text in ("the", None):
        with pytest.raises(TypeError, match="decode: expected ids, a number or a list of them"):
            tokenizer.decode(text)
    with pytest.raises(TypeError, match="got str"):
        tokenizer.batch_decode(["a", "b"])


def test_several_sequences(tokenizer):
    texts = ["the cat", "a mat é"]
    ids = tokenizer(texts, padding=True, return_tensors="pt").input_ids
    assert tokenizer.decode(ids, skip_special_tokens=True) == texts
    assert tokenizer.batch_decode(tokenizer(texts)["input_ids"]) == texts
    assert tokenizer.batch_decode(minilm.tensor(tokenizer.encode("a mat"))) == ["a", " mat"]


def test_labels_are_no_ids(tokenizer):
    with pytest.raises(ValueError, match=r"-100 is not the id of a token. In labels"):
        tokenizer.decode([1, -100])


def test_tokens_and_ids(tokenizer):
    tokens = tokenizer.tokenize("the cat ü")
    assert tokens[-3:] == ["Ġ", "Ã", "¼"]
    ids = tokenizer.convert_tokens_to_ids(tokens)
    assert tokenizer.convert_ids_to_tokens(ids) == tokens
    assert tokenizer.convert_ids_to_tokens(minilm.tensor(ids)) == tokens
    assert tokenizer.convert_tokens_to_string(tokens) == "the cat ü"
    assert tokenizer.convert_tokens_to_ids("nothing") == tokenizer.unk_token_id
    assert tokenizer.convert_ids_to_tokens(ids[0]) == tokens[0]
    assert tokenizer.convert_ids_to_tokens(10**6) is None
    end = tokenizer.eos_token_id
    assert tokenizer.convert_ids_to_tokens([end, ids[0]], skip_special_tokens=True) == [tokens[0]]
    assert tokenizer.vocab == tokenizer.get_vocab() and tokenizer.vocab[tokens[0]] == ids[0]


def test_spaces_before_punctuation(tokenizer, tmp_path):
    pieces = word_pieces(tmp_path)
    ids = pieces.encode("a cat , a dog .", add_special_tokens=False)
    plain = pieces.decode(ids)
    assert pieces.decode(ids, clean_up_tokenization_spaces=True) == plain.replace(" ,", ",")
    # Byte pairs hold their spaces: there are none to take away.
    spaced = tokenizer.encode("a cat , it 's")
    assert tokenizer.decode(spaced, clean_up_tokenization_spaces=True) == "a cat , it 's"
