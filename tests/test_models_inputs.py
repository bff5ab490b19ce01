import numpy as np
import pytest

import minilm
from minilm.models.inputs import (
    checked_ids,
    checked_mask,
    merge_heads,
    positions_of,
    split_heads,
)


def test_ids_may_be_lists_arrays_and_tensors():
    for ids in ([[1, 2]], np.array([[1, 2]]), minilm.tensor([[1, 2]])):
        assert checked_ids(ids, 5, 4).tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        ([1, 2], ValueError, r"\(batch, time\).*got shape \(2,\): add the batch axis"),
        (np.zeros((1, 0), np.int64), ValueError, "at least one token"),
        (np.zeros((1, 2, 3), np.int64), ValueError, r"got shape \(1, 2, 3\)"),
        (np.zeros((1, 2), np.float32), TypeError, "expected integers"),
        ([[0, 1], [2, 5]], IndexError, r"id 5 at \(batch 1, time 1\) is outside 0 to 4"),
        ([[0, -1]], IndexError, r"id -1 at \(batch 0, time 1\)"),
        (
            [[0] * 9],
            ValueError,
            "has 9 tokens, but the model has 8 positions.*truncation=True, max_",
        ),
        ([[0], [1, 2]], ValueError, "rows of 1, 2 elements cannot stack.*padding=True"),
    ],
)
def test_wrong_ids_say_what_is_wrong(ids, error, message):
    with pytest.raises(error, match=message):
        checked_ids(ids, 5, 8)


def test_the_past_counts_against_the_positions():
    with pytest.raises(ValueError, match="has 2 tokens, after 7 in past_key_values"):
        checked_ids([[0, 1]], 5, 8, past=7)


def test_a_mask_of_ones_is_none():
    assert checked_mask(np.ones((2, 3)), 2, 3) is None
    assert checked_mask(None, 2, 3) is None
    assert checked_mask(minilm.tensor([[1, 0]]), 1, 2).tolist() == [[True, False]]


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.ones((2, 4)), r"attention_mask has shape \(2, 4\), expected \(2, 3\)"),
        (np.full((2, 3), 2), "1 for a token and 0 for padding, nothing else"),
        ([[1, 1, 1], [1]], "attention_mask: rows of 1, 3 elements cannot stack"),
    ],
)
def test_wrong_masks(mask, message):
    with pytest.raises(ValueError, match=message):
        checked_mask(mask, 2, 3)


def test_positions_count_what_is_no_padding():
    mask = np.array([[0, 0, 1, 1], [1, 1, 1, 0]], bool)
    assert positions_of(None, mask, 2, 4, 0, 9).tolist() == [[0, 0, 0, 1], [0, 1, 2, 2]]
    assert positions_of(None, mask, 2, 1, 3, 9).tolist() == [[1], [2]]
    assert positions_of(None, None, 2, 3, 4, 9).tolist() == [[4, 5, 6]]
    assert positions_of(np.array([[3, 2]]), None, 2, 2, 0, 9).tolist() == [[3, 2]]


@pytest.mark.parametrize(
    ("positions", "error", "message"),
    [
        (np.zeros((2, 3), np.int64), ValueError, r"shape \(2, 3\), expected \(2, 2\)"),
        (np.array([[0, 9]]), IndexError, "from 0 to 9 are not all in 0 to 8"),
        (np.zeros((1, 2)), TypeError, "expected integers"),
    ],
)
def test_wrong_positions(positions, error, message):
    with pytest.raises(error, match=message):
        positions_of(positions, None, 2, 2, 0, 9)


def test_heads_are_split_and_merged():
    x = minilm.randn(2, 3, 8)
    heads = split_heads(x, 4)
    assert heads.shape == (2, 2, 3, 4)
    np.testing.assert_array_equal(heads.numpy()[:, 1], x.numpy()[..., 4:])
    np.testing.assert_array_equal(merge_heads(heads).numpy(), x.numpy())
