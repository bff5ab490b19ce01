import copy

import numpy as np
import pytest
from tokenization_helpers import word_pieces

import minilm
from minilm.tokenization import BatchEncoding


@pytest.fixture
def encoding(tmp_path):
    return word_pieces(tmp_path)(["the cats", "a dog"], padding=True)


def test_it_is_a_mapping_with_attributes(encoding):
    assert list(encoding) == ["input_ids", "attention_mask"]
    assert encoding.input_ids == encoding["input_ids"] == dict(**encoding)["input_ids"]
    assert encoding[:1] == {name: value[:1] for name, value in encoding.items()}
    with pytest.raises(AttributeError, match="no 'labels'.*it has input_ids, attention_mask"):
        _ = encoding.labels
    encoding["labels"] = [0, 1]
    assert encoding.labels == [0, 1]
    assert copy.copy(encoding) == copy.deepcopy(encoding) == encoding


def test_what_tokenizers_made(encoding):
    assert encoding.is_fast and len(encoding.encodings) == 2
    assert encoding.tokens() == ["[CLS]", "the", "cat", "##s", "[SEP]"]
    assert encoding.tokens(1) == ["[CLS]", "a", "dog", "[SEP]", "[PAD]"]
    assert encoding.word_ids() == [None, 0, 1, 1, None]
    assert encoding.sequence_ids(1) == [None, 0, 0, None, None]
    assert encoding[1].tokens == encoding.tokens(1)
    alone = BatchEncoding({"input_ids": [1]}, encoding[0])
    assert alone.tokens() == encoding.tokens()
    without = BatchEncoding({"input_ids": [1]})
    assert not without.is_fast
    with pytest.raises(ValueError, match="not made by a tokenizer"):
        without.tokens()


def test_to(encoding):
    assert encoding.to("cpu") is encoding
    with pytest.raises(RuntimeError, match="CPU only"):
        encoding.to("cuda")


def test_convert_to_tensors(encoding):
    arrays = BatchEncoding({"ids": [[1, 2]], "scores": [0.5]}, tensor_type="np")
    assert (arrays.ids.dtype, arrays.scores.dtype) == (np.int64, np.float32)
    assert isinstance(encoding.convert_to_tensors("pt").input_ids, minilm.Tensor)
    with pytest.raises(ValueError, match="rows of a tensor are of one length"):
        BatchEncoding({"ids": [[1], [1, 2]]}, tensor_type="np")
    with pytest.raises(ValueError, match=r"'text' does not hold numbers.*remove_columns\('text'\)"):
        BatchEncoding({"text": ["a"]}, tensor_type="np")
