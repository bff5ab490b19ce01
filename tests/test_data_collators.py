import numpy as np
import pytest
from tokenization_helpers import byte_pairs, word_pieces

import minilm
from minilm.data import (
    DataCollatorForLanguageModeling,
    DataCollatorWithPadding,
    UnevenItemsError,
    default_data_collator,
)

TEXTS = ["the cat sat", "a dog"]


@pytest.fixture
def tokenizer(tmp_path):
    return byte_pairs(tmp_path)


def test_columns_are_stacked():
    features = [
        {"input_ids": [1, 2], "label": 0, "weight": 0.5, "text": "a", "none": None},
        {"input_ids": np.array([3, 4]), "label": 1, "weight": 1.5, "text": "b", "none": None},
    ]
    batch = default_data_collator(features)
    assert list(batch) == ["input_ids", "labels", "weight"]
    assert all(isinstance(value, minilm.Tensor) for value in batch.values())
    assert batch["input_ids"].tolist() == [[1, 2], [3, 4]]
    assert (batch["labels"].dtype, batch["weight"].dtype) == (np.int64, np.float32)
    arrays = default_data_collator([{"x": minilm.tensor([1.0])}] * 2, return_tensors="np")
    assert isinstance(arrays["x"], np.ndarray) and arrays["x"].shape == (2, 1)


def test_uneven_samples_say_what_helps():
    with pytest.raises(UnevenItemsError, match=r"item 1\['input_ids'\].*DataCollatorWithPadding"):
        default_data_collator([{"input_ids": [1, 2]}, {"input_ids": [3]}])


def test_padding(tmp_path):
    tokenizer = word_pieces(tmp_path)
    features = [{**tokenizer(text), "label": i} for i, text in enumerate(TEXTS)]
    batch = DataCollatorWithPadding(tokenizer)(features)
    expected = tokenizer(TEXTS, padding=True, return_tensors="np")
    for name in ("input_ids", "attention_mask"):
        np.testing.assert_array_equal(batch[name].numpy(), expected[name])
    assert batch["labels"].tolist() == [0, 1]
    fixed = DataCollatorWithPadding(tokenizer, "max_length", 9, return_tensors="np")(features)
    assert fixed["input_ids"].shape == (2, 9)
    assert DataCollatorWithPadding(tokenizer, pad_to_multiple_of=4)(features)["labels"].shape == (
        2,
    )


def test_labels_are_the_tokens_but_where_it_was_filled_up(tokenizer):
    end = tokenizer.eos_token_id
    features = [tokenizer(text + "<|endoftext|>") for text in TEXTS]
    batch = DataCollatorForLanguageModeling(tokenizer, mlm=False)(features)
    ids, mask, labels = (batch[name].numpy() for name in ("input_ids", "attention_mask", "labels"))
    np.testing.assert_array_equal(labels[mask == 1], ids[mask == 1])
    assert (labels[mask == 0] == -100).all() and (mask == 0).sum() == 1
    # What ends a text counts, though it is the token that fills up.
    assert [row[row != -100][-1] for row in labels] == [end, end]
    again = DataCollatorForLanguageModeling(tokenizer)([{**f, "labels": [0]} for f in features])
    assert again["labels"].tolist() == labels.tolist()
    plain = DataCollatorForLanguageModeling(tokenizer, return_tensors="np", pad_to_multiple_of=8)
    assert plain([f["input_ids"] for f in features])["labels"].shape == (2, 8)


def test_no_masked_language_modelling(tokenizer):
    with pytest.raises(ValueError, match="mlm=True hides tokens.*mlm=False"):
        DataCollatorForLanguageModeling(tokenizer, mlm=True)
